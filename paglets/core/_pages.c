/* Memory that a process shares with those that were forked from it, and how they come to share it again.

   The originals of all pages are kept in a sealed memory file, which the process maps privately in their place: a fork
   shares such a mapping as it shares other memory, and a page that is written to becomes the writer's own. What was
   written back to what it was can then be told from the file, and given back.

   What is looked at and given back must not change in between. So: nothing here allocates or calls Python while it does
   that, the interpreter's lock is held, and every other thread must sleep until it is woken (futex(2) without a timeout),
   which only this one could do. A signal that one of them handles writes to data of libraries; those are left alone. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_OF_A_FILE ((uint64_t)1 << 61)

enum {
    SMALLEST = 64 * 1024,        /* bytes of a mapping that are worth the while */
    AROUND_THREAD = 64 * 1024,   /* bytes before and behind a thread's own data that the kernel may write to, rseq(2) */
    MOST_RANGES = 1024,
    TEXT = 4 * 1024 * 1024,      /* bytes that a list of all mappings may take */
    ENTRIES = 1024,              /* of a pagemap, read at a time */
};

struct range {
    uintptr_t start, end;
};

struct ranges {
    size_t count;
    struct range at[MOST_RANGES];
};

struct line {
    uintptr_t start, end;
    uint64_t offset;
    unsigned device_major, device_minor;
    uint64_t inode;
    char permissions[5];
    const char *name;
};

static struct {
    const char *view; /* all of the file, for comparing; NULL: nothing is kept */
    size_t size;
    unsigned device_major, device_minor;
    uint64_t inode;
} originals;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* --- what is mapped where ------------------------------------------------------------------------------------------ */

/* The text of /proc/self/maps, in memory that is not the allocator's; NULL and errno when it cannot be had. */
static char *read_mappings(void) {
    char *text = mmap(NULL, TEXT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return NULL;
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
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

/* Take the next line of that text apart; 0 at its end. */
static int next_line(char **text, struct line *line) {
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

/* --- keeping the originals ----------------------------------------------------------------------------------------- */

static int without_file(const struct line *line) {
    return strcmp(line->permissions, "rw-p") == 0 && line->inode == 0 &&
           (*line->name == '\0' || strcmp(line->name, "[heap]") == 0 || strncmp(line->name, "[anon:", 6) == 0);
}

static int add(struct ranges *ranges, uintptr_t start, uintptr_t end) {
    if (start >= end || end - start < SMALLEST)
        return 1;
    if (ranges->count == MOST_RANGES)
        return 0;
    ranges->at[ranges->count++] = (struct range){start, end};
    return 1;
}

/* Take a piece out of all ranges. */
static int leave_out(struct ranges *ranges, uintptr_t start, uintptr_t end) {
    start -= start % page_size();
    end += (page_size() - end % page_size()) % page_size();
    for (size_t i = 0, count = ranges->count; i < count; i++) {
        struct range *range = &ranges->at[i];
        if (end <= range->start || range->end <= start)
            continue;
        uintptr_t behind = range->end;
        range->end = start > range->start ? start : range->start; /* what is left of it may be empty */
        if (!add(ranges, end, behind))
            return 0;
    }
    return 1;
}

/* The data of a library, also what follows it in memory and is in no file. */
static int leave_out_library(struct dl_phdr_info *library, size_t size, void *ranges) {
    (void)size;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
        uintptr_t start = (uintptr_t)(library->dlpi_addr + segment->p_vaddr);
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) &&
            !leave_out(ranges, start, start + segment->p_memsz))
            return 1;
    }
    return 0;
}

/* Of the data of the library that is Python, what is in its file: types, mostly. Not its state: threads that want to
   run, and signals, write to that. */
static int add_types(struct dl_phdr_info *library, size_t size, void *ranges) {
    (void)size;
    Dl_info about;
    const ElfW(Sym) *state = NULL;
    void *state_at = dlsym(RTLD_DEFAULT, "_PyRuntime");
    if (state_at == NULL || !dladdr1(state_at, &about, (void **)&state, RTLD_DL_SYMENT) || state == NULL)
        return 0;
    uintptr_t state_start = (uintptr_t)state_at, start = 0, end = 0, constant = 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
        uintptr_t at = (uintptr_t)(library->dlpi_addr + segment->p_vaddr);
        if (segment->p_type == PT_GNU_RELRO)
            constant = at + segment->p_memsz;
        else if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) && at <= state_start &&
                 state_start < at + segment->p_filesz)
            start = at, end = at + segment->p_filesz;
    }
    start = constant > start ? constant : start;
    start += (page_size() - start % page_size()) % page_size();
    end -= end % page_size();
    uintptr_t state_end = state_start + state->st_size;
    state_start -= state_start % page_size();
    state_end += (page_size() - state_end % page_size()) % page_size();
    return !add(ranges, start, state_start < end ? state_start : end) ||
           !add(ranges, state_end > start ? state_end : start, end);
}

/* What is written to by whoever runs Python, and by nobody else. */
static int find_heaps(struct ranges *ranges) {
    char *text = read_mappings();
    if (text == NULL)
        return 0;
    char *at = text;
    struct line line;
    int fits = 1;
    while (fits && next_line(&at, &line))
        if (without_file(&line))
            fits = add(ranges, line.start, line.end);
    munmap(text, TEXT);
    uintptr_t thread = (uintptr_t)pthread_self();
    fits = fits && leave_out(ranges, (uintptr_t)text, (uintptr_t)text + TEXT) &&
           leave_out(ranges, (uintptr_t)ranges, (uintptr_t)(ranges + 1)) &&
           leave_out(ranges, thread - AROUND_THREAD, thread + AROUND_THREAD) &&
           dl_iterate_phdr(leave_out_library, ranges) == 0 && dl_iterate_phdr(add_types, ranges) == 0;
    if (!fits)
        errno = EFBIG;
    return fits;
}

static int new_file(size_t size) {
    int file = memfd_create("paglets-originals", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (file < 0 && errno == EINVAL) /* before Linux 6.3 */
        file = memfd_create("paglets-originals", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file >= 0 && ftruncate(file, (off_t)size) < 0) {
        int failure = errno;
        close(file);
        errno = failure;
        return -1;
    }
    return file;
}

static int write_all(int file, const struct ranges *ranges) {
    off_t offset = 0;
    for (size_t i = 0; i < ranges->count; i++)
        for (uintptr_t at = ranges->at[i].start; at < ranges->at[i].end;) {
            ssize_t wrote = pwrite(file, (const void *)at, ranges->at[i].end - at, offset);
            if (wrote <= 0) {
                if (wrote < 0 && errno == EINTR)
                    continue;
                return 0;
            }
            at += (uintptr_t)wrote;
            offset += wrote;
        }
    return fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

/* From the first call of mmap here to its end the process must be able to go on: what is mapped is what was there. */
static void map_in_place(int file, const struct ranges *ranges) {
    off_t offset = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        void *start = (void *)ranges->at[i].start;
        size_t size = ranges->at[i].end - ranges->at[i].start;
        if (size == 0)
            continue;
        if (mmap(start, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, offset) == MAP_FAILED)
            abort(); /* what was there may be gone */
        madvise(start, size, MADV_POPULATE_READ); /* at once, and not page by page; older kernels do not know it */
        offset += (off_t)size;
    }
}

static int keep(const struct ranges *ranges) {
    size_t size = 0;
    struct stat about;
    for (size_t i = 0; i < ranges->count; i++)
        size += ranges->at[i].end - ranges->at[i].start;
    int file = new_file(size);
    if (file < 0)
        return 0;
    void *view = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the handler of a signal may write to anything */
    int kept = view != MAP_FAILED && fstat(file, &about) == 0 && write_all(file, ranges);
    int failure = errno;
    if (kept)
        map_in_place(file, ranges);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(file);
    if (!kept) {
        if (view != MAP_FAILED)
            munmap(view, size);
        errno = failure;
        return 0;
    }
    originals.view = view;
    originals.size = size;
    originals.inode = (uint64_t)about.st_ino;
    originals.device_major = major(about.st_dev);
    originals.device_minor = minor(about.st_dev);
    return 1;
}

/* --- other threads ------------------------------------------------------------------------------------------------- */

/* Whether that thread sleeps until another one wakes it. */
static int sleeps(const char *thread) {
    char path[320], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/syscall", thread);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    long number;
    unsigned long long timeout;
    if (sscanf(text, "%ld %*x %*x %*x %llx", &number, &timeout) != 2) /* also when it runs: "running" */
        return 0;
#ifdef SYS_futex_time64
    if (number == SYS_futex_time64)
        return timeout == 0;
#endif
    return number == SYS_futex && timeout == 0;
}

/* How many threads there are beside the calling one, or -1: one of them might run (asleep), or it cannot be told. */
static int other_threads(int asleep) {
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return -1;
    char own[32];
    snprintf(own, sizeof own, "%ld", (long)syscall(SYS_gettid));
    int count = 0;
    for (struct dirent *task; count >= 0 && (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.' || strcmp(task->d_name, own) == 0)
            continue;
        count = asleep && !sleeps(task->d_name) ? -1 : count + 1;
    }
    closedir(tasks);
    return count;
}

/* --- giving back --------------------------------------------------------------------------------------------------- */

struct run {
    uintptr_t start, end; /* of pages that hold what their originals hold */
    size_t given;
};

static int is_of_originals(const struct line *line) {
    return line->inode == originals.inode && line->device_major == originals.device_major &&
           line->device_minor == originals.device_minor && strcmp(line->permissions, "rw-p") == 0;
}

static void give(struct run *run) {
    if (run->end > run->start && madvise((void *)run->start, run->end - run->start, MADV_DONTNEED) == 0)
        run->given += (run->end - run->start) / page_size();
    run->start = run->end;
}

/* Those pages of one mapping that are this process's own, and need not be. */
static int give_back_in(const struct line *line, int pagemap, struct run *run) {
    uint64_t entries[ENTRIES];
    size_t page = page_size(), pages = (line->end - line->start) / page;
    for (size_t first = 0; first < pages; first += ENTRIES) {
        size_t count = pages - first < ENTRIES ? pages - first : ENTRIES;
        ssize_t size = (ssize_t)(count * sizeof *entries);
        off_t offset = (off_t)((line->start / page + first) * sizeof *entries);
        if (pread(pagemap, entries, (size_t)size, offset) != size)
            return 0;
        for (size_t i = 0; i < count; i++) {
            if (!(entries[i] & PAGEMAP_PRESENT) || (entries[i] & PAGEMAP_OF_A_FILE))
                continue;
            uintptr_t at = line->start + (first + i) * page;
            const char *original = originals.view + line->offset + (first + i) * page;
            if (memcmp((const void *)at, original, page) != 0)
                continue;
            if (at != run->end) {
                give(run);
                run->start = at;
            }
            run->end = at + page;
        }
    }
    give(run);
    return 1;
}

/* --- for Python ---------------------------------------------------------------------------------------------------- */

static PyObject *keep_originals(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    if (originals.view != NULL)
        return PyLong_FromSize_t(0);
    if (other_threads(0) != 0)
        return PyErr_Format(PyExc_RuntimeError, "pages can be put elsewhere in a process with one thread only");
    struct ranges *ranges = mmap(NULL, sizeof *ranges, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ranges == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    int kept = find_heaps(ranges) && (ranges->count == 0 || keep(ranges));
    int failure = errno;
    munmap(ranges, sizeof *ranges);
    errno = failure;
    return kept ? PyLong_FromSize_t(originals.size) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *give_back(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    struct run run = {0, 0, 0};
    if (originals.view == NULL || other_threads(1) < 0)
        return PyLong_FromSize_t(0);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    char *text = pagemap < 0 ? NULL : read_mappings(), *at = text;
    int read_all = text != NULL;
    if (text != NULL) {
        struct line line;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (read_all && next_line(&at, &line))
            if (is_of_originals(&line))
                read_all = give_back_in(&line, pagemap, &run);
        madvise((void *)originals.view, originals.size, MADV_DONTNEED);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    int failure = errno;
    if (text != NULL)
        munmap(text, TEXT);
    if (pagemap >= 0)
        close(pagemap);
    errno = failure;
    return read_all ? PyLong_FromSize_t(run.given) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyMethodDef methods[] = {
    {"keep_originals", keep_originals, METH_NOARGS, NULL},
    {"give_back", give_back, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_pages", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pages(void) { return PyModuleDef_Init(&definition); }
