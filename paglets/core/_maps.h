/* What is mapped where in this process, and whose each page is: /proc/self/maps and /proc/self/pagemap, proc(5). */

#ifndef PAGLETS_MAPS_H
#define PAGLETS_MAPS_H

#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_EXCLUSIVE ((uint64_t)1 << 56)

enum {
    TEXT = 8 * 1024 * 1024, /* bytes that a description of all mappings may take */
};

struct line {
    uintptr_t start, end;
    uint64_t offset;
    unsigned device_major, device_minor;
    uint64_t inode;
    char permissions[5];
    const char *name;
};

size_t page_size(void);

/* A text of /proc, in TEXT bytes of memory that is not the allocator's; NULL and errno when it cannot be had. */
char *read_text(const char *path);

/* Take the next line of /proc/self/maps apart; 0 at its end, and at a line of another kind. */
int next_line(char **text, struct line *line);

/* Call ``take`` with each page of a mapping that is there and of no file, or of memory that is shared as such, and with
   what the pagemap says of it, until it returns 0. 0 and errno then, or when the pagemap cannot be read. */
int each_copy(const struct line *line, int pagemap, int (*take)(void *context, uintptr_t at, uint64_t entry), void *context);

#endif
