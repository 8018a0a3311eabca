/* The pages that a fork has copied, and having them copied at once.

   Whoever is forked copies a page when it first writes to it. What one fork has copied by the time that it is at work, the
   next one will copy as well: here it can do so before, and without doing what it copies them for. */

#include "_copies.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "_maps.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    MOST_RUNS = 64 * 1024,
    AT_A_TIME = 64, /* runs that are copied before others may go first */
};

struct run {
    uintptr_t start, end;
};

struct runs {
    size_t count;
    struct run at[MOST_RUNS];
};

static int within(uintptr_t at, const void *start, size_t size) { return at - (uintptr_t)start < size; }

struct search {
    struct runs *runs;
    const char *text;
};

/* One of those; not what is there for this look only. */
static int add(void *context, uintptr_t at, uint64_t entry) {
    const struct search *search = context;
    struct runs *runs = search->runs;
    if (!(entry & PAGEMAP_EXCLUSIVE) || within(at, runs, sizeof *runs) || within(at, search->text, TEXT))
        return 1;
    if (runs->count > 0 && runs->at[runs->count - 1].end == at) {
        runs->at[runs->count - 1].end += page_size();
        return 1;
    }
    if (runs->count == MOST_RUNS) {
        errno = EFBIG;
        return 0;
    }
    runs->at[runs->count++] = (struct run){at, at + page_size()};
    return 1;
}

static int find(struct runs *runs) {
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return 0;
    char *text = read_text("/proc/self/maps"), *at = text;
    int found = text != NULL;
    struct search search = {runs, text};
    struct line line;
    while (found && next_line(&at, &line))
        if (strcmp(line.permissions, "rw-p") == 0)
            found = each_copy(&line, pagemap, add, &search);
    int failure = errno;
    if (text != NULL)
        munmap(text, TEXT);
    close(pagemap);
    errno = failure;
    return found;
}

PyObject *own_pages(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    struct runs *runs =
        mmap(NULL, sizeof *runs, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (runs == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *found = find(runs) ? PyBytes_FromStringAndSize((const char *)runs->at,
                                                             (Py_ssize_t)(runs->count * sizeof *runs->at))
                                 : PyErr_SetFromErrno(PyExc_OSError);
    munmap(runs, sizeof *runs);
    return found;
}

/* Nothing is read or written here: what is not mapped any more, or may not be written to, is an error of the call. */
PyObject *copy_pages(PyObject *module, PyObject *pages) {
    (void)module;
    char *given;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(pages, &given, &size) < 0)
        return NULL;
    if ((size_t)size % sizeof(struct run) != 0)
        return PyErr_Format(PyExc_ValueError, "pages are what own_pages() has told");
    size_t copied = 0;
    for (size_t i = 0; i < (size_t)size / sizeof(struct run); i++) {
        struct run run;
        memcpy(&run, given + i * sizeof run, sizeof run);
        if (run.end > run.start && madvise((void *)run.start, run.end - run.start, MADV_POPULATE_WRITE) == 0)
            copied += (run.end - run.start) / page_size();
        if (i % AT_A_TIME == AT_A_TIME - 1)
            sched_yield();
    }
    return PyLong_FromSize_t(copied);
}
