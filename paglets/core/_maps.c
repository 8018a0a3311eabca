#include "_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

int read_pagemap(int pagemap, uintptr_t start, size_t count, uint64_t *entries) {
    ssize_t size = (ssize_t)(count * sizeof *entries);
    ssize_t got = pread(pagemap, entries, (size_t)size, (off_t)(start / page_size() * sizeof *entries));
    if (got != size)
        errno = got < 0 ? errno : EIO;
    return got == size;
}
