/* What is mapped where in this process, and whose each page is: /proc/self/maps and /proc/self/pagemap, proc(5). */

#ifndef PAGLETS_MAPS_H
#define PAGLETS_MAPS_H

#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_OF_A_FILE ((uint64_t)1 << 61) /* or of memory that is shared as such */

enum {
    TEXT = 8 * 1024 * 1024, /* bytes that a description of all mappings may take */
    ENTRIES = 1024,         /* of a pagemap, read at a time */
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

/* What is known of so many pages (ENTRIES at most), from that address on; 0 and errno when it cannot be had. */
int read_pagemap(int pagemap, uintptr_t start, size_t count, uint64_t *entries);

#endif
