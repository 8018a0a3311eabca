#include "_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_OF_A_FILE ((uint64_t)1 << 61)

enum { ENTRIES = 1024 }; /* of a pagemap, read at a time */

size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

char *read_text(const char *path) {
    char *text = mmap(NULL, TEXT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (text == MAP_FAILED)
        return NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && length < TEXT - 1) {
        got = read(file, text + length, TEXT - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    int failure = got < 0 ? errno : got > 0 ? EFBIG : 0;
    if (file >= 0)
        close(file);
    if (failure) {
        munmap(text, TEXT);
        errno = failure;
        return NULL;
    }
    return text; /* its end is zeroed, as new memory is */
}

int next_line(char **text, struct line *line) {
    char *end = strchr(*text, '\n');
    int name = 0;
    if (end == NULL)
        return 0;
    *end = '\0';
    unsigned long long start, stop, offset, inode;
    int found = sscanf(*text, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &stop, line->permissions, &offset,
                       &line->device_major, &line->device_minor, &inode, &name);
    line->start = (uintptr_t)start;
    line->end = (uintptr_t)stop;
    line->offset = offset;
    line->inode = inode;
    line->name = *text + name;
    *text = end + 1;
    return found == 7;
}

int each_copy(const struct line *line, int pagemap, int (*take)(void *context, uintptr_t at, uint64_t entry), void *context) {
    uint64_t entries[ENTRIES];
    size_t page = page_size(), pages = (line->end - line->start) / page;
    for (size_t first = 0; first < pages; first += ENTRIES) {
        size_t count = pages - first < ENTRIES ? pages - first : ENTRIES;
        ssize_t size = (ssize_t)(count * sizeof *entries);
        ssize_t got = pread(pagemap, entries, (size_t)size, (off_t)((line->start / page + first) * sizeof *entries));
        if (got != size) {
            errno = got < 0 ? errno : EIO;
            return 0;
        }
        for (size_t i = 0; i < count; i++)
            if ((entries[i] & PAGEMAP_PRESENT) && !(entries[i] & PAGEMAP_OF_A_FILE) &&
                !take(context, line->start + (first + i) * page, entries[i]))
                return 0;
    }
    return 1;
}
