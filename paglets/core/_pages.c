/* Memory that a process shares with those that were forked from it, and how they come to share it again.

   The originals of all pages are kept in a sealed memory file, which the process maps privately in their place: a fork
   shares such a mapping as it shares other memory, and a page that is written to becomes the writer's own. What was
   written back to what it was can then be told from the file, and given back.

   Nothing may write to a page between the look at it and its return:

   - This thread does not: it allocates nothing and calls no Python meanwhile, and its signals are blocked.
   - Other threads that run Python do not: the interpreter's lock is held. But a thread that waits, or does without
     Python, may write all the same, so there may be one other thread only, the one that the caller names, and it must
     sleep in a futex(2) of this process without a time limit, for a lock of Python's. No other thread could wake it.
   - A signal could, where one is caught. Then nothing is given back, but for those that every child catches with a
     handler of Python's. That writes to the interpreter's state, which is left alone. Who was woken by it notes in the
     lock that it does not wait any more, and needs the interpreter's lock before it waits again. So what it writes to
     differs from its original, which nobody waited for, until then, and does not change any more afterwards.
   - The kernel may write to what it was asked to read into. That takes a thread that waits for it, or an interface
     that needs none (io_uring(7), io_submit(2)) and a buffer that looks like its original: nothing here uses those. */

#include "_copies.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <gnu/libc-version.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "_maps.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum {
    SMALLEST = 64 * 1024,        /* bytes of a mapping that are worth the while */
    AROUND_THREAD = 64 * 1024,   /* bytes before and behind a thread's own data, some of it the kernel's: rseq(2) */
    MOST_RANGES = 256,
};

/* Each range has a part of the file for itself, at least as long. Should mremap(2) make a mapping longer, its new end is
   not another's original, nor the end of the file; what is touched there stays in the file, so it must not be much. */
#define SLOT ((uint64_t)64 << 20)

struct range {
    uintptr_t start, end;
};

struct ranges {
    size_t count;
    struct range at[MOST_RANGES];
};

static struct {
    size_t count; /* 0: nothing is kept */
    struct {
        const char *view; /* of that part of the file, for comparing */
        size_t size;
    } slots[MOST_RANGES];
    unsigned device_major, device_minor;
    uint64_t inode;
} originals;

/* --- keeping the originals ----------------------------------------------------------------------------------------- */

static int without_file(const struct line *line) {
    return strcmp(line->permissions, "rw-p") == 0 && line->inode == 0 &&
           (*line->name == '\0' || strcmp(line->name, "[heap]") == 0 || strncmp(line->name, "[anon:", 6) == 0);
}

/* Whether a mapping is as malloc(3) makes them, by its flags in /proc/self/smaps: not locked, not wiped on fork, not a
   stack of any kind, whose like a mapping of a file would not be. */
static int is_plain(const char *flags) {
    static const char plain[] = " rd wr mr mw me ac sd nr hg mg ";
    char flag[5] = "    ";
    for (; flags[0] != '\0' && flags[0] != '\n' && flags[1] != '\n'; flags += strspn(flags, " ")) {
        flag[1] = flags[0], flag[2] = flags[1];
        if (strstr(plain, flag) == NULL)
            return 0;
        flags += strcspn(flags, " \n");
    }
    return 1;
}

static size_t size_of(const struct range *range) { return range->end - range->start; }

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

/* Large blocks of malloc(3), which have mappings of their own: realloc(3) makes those longer. They begin with a page that
   begins with a zero and their size, marked as such. What only looks like one may be left out as well. */
static int leave_out_blocks(struct ranges *ranges) {
    size_t page = page_size();
    for (size_t i = 0; i < ranges->count; i++)
        for (uintptr_t at = ranges->at[i].start; at < ranges->at[i].end; at += page) {
            const size_t *header = (const size_t *)at;
            size_t size = header[1] & ~(size_t)7;
            if (header[0] == 0 && (header[1] & 7) == 2 && size != 0 && size % page == 0 &&
                size <= ranges->at[i].end - at && !leave_out(ranges, at, at + size))
                return 0;
        }
    return 1;
}

/* All of /proc/self/smaps that is a heap. What lies behind a guard page is a stack, of a thread that may have ended. */
static int add_heaps(struct ranges *ranges, char *text) {
    struct line line, last = {0};
    int wanted = 0;
    for (char *next, *at = text; (next = strchr(at, '\n')) != NULL; at = next + 1) {
        if (strncmp(at, "VmFlags:", 8) == 0) {
            if (wanted && is_plain(at + 8 + strspn(at + 8, " ")) && !add(ranges, last.start, last.end))
                return 0;
            wanted = 0;
        } else if (strspn(at, "0123456789abcdef") > 0 && at[strspn(at, "0123456789abcdef")] == '-') {
            char *start = at;
            int behind_guard = strcmp(last.permissions, "---p") == 0 ? 1 : 0;
            uintptr_t end_before = last.end;
            if (!next_line(&start, &line))
                continue;
            wanted = without_file(&line) && !(behind_guard && line.start == end_before);
            last = line;
        }
    }
    return 1;
}

/* What is written to by whoever runs Python, and by nobody else. */
static int find_ranges(struct ranges *ranges) {
    char *text = read_text("/proc/self/smaps");
    if (text == NULL)
        return 0;
    int fits = add_heaps(ranges, text);
    munmap(text, TEXT);
    uintptr_t thread = (uintptr_t)pthread_self();
    fits = fits && leave_out(ranges, (uintptr_t)text, (uintptr_t)text + TEXT) &&
           leave_out(ranges, (uintptr_t)ranges, (uintptr_t)(ranges + 1)) &&
           leave_out(ranges, thread - AROUND_THREAD, thread + AROUND_THREAD) &&
           dl_iterate_phdr(leave_out_library, ranges) == 0 && leave_out_blocks(ranges) &&
           dl_iterate_phdr(add_types, ranges) == 0;
    for (size_t i = 0; i < ranges->count; i++)
        fits = fits && size_of(&ranges->at[i]) <= SLOT;
    if (!fits)
        errno = EFBIG;
    return fits;
}

/* Whether free memory is given back to the kernel by an allocator that does not expect to find zeros there afterwards. */
static int knows_allocator(void) {
    Dl_info allocator, library;
    return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &allocator) && dladdr((void *)gnu_get_libc_version, &library) &&
           allocator.dli_fbase == library.dli_fbase;
}

static int new_file(uint64_t size) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) {
        errno = EFBIG; /* and no signal */
        return -1;
    }
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

/* Whether so much memory may be promised to this process once more, where promises are counted: mapping over something
   may end the old promise before the new one is refused. */
static int may_map(size_t size) {
    void *test = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return test != MAP_FAILED && munmap(test, size) == 0;
}

static int write_all(int file, const struct ranges *ranges) {
    for (size_t i = 0; i < ranges->count; i++) {
        off_t offset = (off_t)(i * SLOT);
        for (uintptr_t at = ranges->at[i].start; at < ranges->at[i].end;) {
            ssize_t wrote = pwrite(file, (const void *)at, ranges->at[i].end - at, offset);
            if (wrote <= 0) {
                errno = wrote < 0 ? errno : EIO;
                return 0;
            }
            at += (uintptr_t)wrote;
            offset += wrote;
        }
    }
    return fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

/* From the first call of mmap here to its end the process must be able to go on: what is mapped is what was there. */
static void map_in_place(int file, const struct ranges *ranges) {
    for (size_t i = 0; i < ranges->count; i++) {
        void *start = (void *)ranges->at[i].start;
        size_t size = size_of(&ranges->at[i]);
        if (size == 0)
            continue;
        if (mmap(start, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, (off_t)(i * SLOT)) == MAP_FAILED)
            abort(); /* what was there may be gone */
        madvise(start, size, MADV_POPULATE_READ); /* at once, and not page by page; older kernels do not know it */
    }
}

static void unmap_views(void) {
    for (size_t i = 0; i < MOST_RANGES; i++)
        if (originals.slots[i].view != NULL) {
            munmap((void *)originals.slots[i].view, originals.slots[i].size);
            originals.slots[i].view = NULL;
        }
}

static int map_views(int file, const struct ranges *ranges) {
    for (size_t i = 0; i < ranges->count; i++) {
        size_t size = size_of(&ranges->at[i]);
        void *view = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, (off_t)(i * SLOT));
        if (view == MAP_FAILED)
            return 0;
        originals.slots[i].view = view;
        originals.slots[i].size = size;
    }
    return 1;
}

static int keep(const struct ranges *ranges, size_t size) {
    struct stat about;
    int file = new_file(ranges->count * SLOT);
    if (file < 0)
        return 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the handler of a signal may write to anything */
    int kept = fstat(file, &about) == 0 && map_views(file, ranges) && write_all(file, ranges) && may_map(size);
    int failure = errno;
    if (kept)
        map_in_place(file, ranges);
    else
        unmap_views();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(file);
    if (!kept) {
        errno = failure;
        return 0;
    }
    originals.count = ranges->count;
    originals.inode = (uint64_t)about.st_ino;
    originals.device_major = major(about.st_dev);
    originals.device_minor = minor(about.st_dev);
    return 1;
}

/* --- other threads and signals ------------------------------------------------------------------------------------- */

#define FUTEX_OPERATION 127
#define FUTEX_PRIVATE 128
#define FUTEX_WAIT 0
#define FUTEX_WAIT_BITSET 9

static int is_futex(long call) {
#ifdef SYS_futex_time64
    if (call == SYS_futex_time64)
        return 1;
#endif
    return call == SYS_futex;
}

/* The beginning of a file of a thread's in /proc; 0 when it cannot be read. */
static int read_of_thread(const char *thread, const char *name, char *text, size_t size) {
    char path[320];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = read(file, text, size - 1);
    close(file);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* Whether that thread sleeps until another one of this process wakes it. */
static int sleeps(const char *thread) {
    char text[1024];
    long call;
    unsigned long long operation, timeout;
    if (!read_of_thread(thread, "syscall", text, sizeof text) ||
        sscanf(text, "%ld %*x %llx %*x %llx", &call, &operation, &timeout) != 3) /* also when it runs: "running" */
        return 0;
    int waits = (operation & FUTEX_OPERATION) == FUTEX_WAIT || (operation & FUTEX_OPERATION) == FUTEX_WAIT_BITSET;
    if (!is_futex(call) || !waits || !(operation & FUTEX_PRIVATE) || timeout != 0)
        return 0;
    char *state = read_of_thread(thread, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    return state != NULL && strncmp(state, ") S ", 4) == 0;
}

/* Whether there is no thread beside the calling one, or only ``sleeper``, which sleeps (0: none); -1 and errno when it
   cannot be told. */
static int alone(long sleeper) {
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return -1;
    int answer = 1;
    long own = (long)syscall(SYS_gettid);
    for (struct dirent *task; answer && (task = readdir(tasks)) != NULL;) {
        long thread = strtol(task->d_name, NULL, 10);
        if (task->d_name[0] != '.' && thread != own)
            answer = thread == sleeper && sleeps(task->d_name);
    }
    closedir(tasks);
    return answer;
}

/* Whether a signal is caught that not every child catches. */
static int catches_others(void) {
    static const int known[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGHUP, 32, 33 /* the C library's */};
    char text[4096], own[32];
    unsigned long long caught;
    snprintf(own, sizeof own, "%ld", (long)syscall(SYS_gettid));
    char *line = read_of_thread(own, "status", text, sizeof text) ? strstr(text, "\nSigCgt:") : NULL;
    if (line == NULL || sscanf(line, "\nSigCgt: %llx", &caught) != 1)
        return 1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        caught &= ~(1ULL << (known[i] - 1));
    return caught != 0;
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

/* The page at that offset of the file; NULL where there is none. */
static const char *original_at(uint64_t offset) {
    uint64_t slot = offset / SLOT, within = offset % SLOT;
    if (slot >= originals.count || within >= originals.slots[slot].size)
        return NULL;
    return originals.slots[slot].view + within;
}

struct giving {
    const struct line *line;
    struct run *run;
};

/* A page that is this process's own: whether it need not be. */
static int give_back_page(void *context, uintptr_t at, uint64_t entry) {
    (void)entry;
    const struct giving *giving = context;
    struct run *run = giving->run;
    const char *original = original_at(giving->line->offset + (at - giving->line->start));
    if (original == NULL || memcmp((const void *)at, original, page_size()) != 0)
        return 1;
    if (at != run->end) {
        give(run);
        run->start = at;
    }
    run->end = at + page_size();
    return 1;
}

/* Those pages of one mapping that are this process's own, and need not be. */
static int give_back_in(const struct line *line, int pagemap, struct run *run) {
    struct giving giving = {line, run};
    if (!each_copy(line, pagemap, give_back_page, &giving))
        return 0;
    give(run);
    return 1;
}

/* --- for Python ---------------------------------------------------------------------------------------------------- */

static PyObject *keep_originals(PyObject *module, PyObject *nothing) {
    (void)module, (void)nothing;
    if (originals.count != 0)
        return PyLong_FromSize_t(0);
    int others = alone(0);
    if (others < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (!others)
        return PyErr_Format(PyExc_OSError, "pages can be put elsewhere in a process with one thread only");
    if (!knows_allocator())
        return PyErr_Format(PyExc_OSError, "this process has an allocator that is not the C library's");
    struct ranges *ranges = mmap(NULL, sizeof *ranges, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ranges == MAP_FAILED)
        return PyErr_SetFromErrno(PyExc_OSError);
    size_t size = 0;
    int kept = find_ranges(ranges);
    for (size_t i = 0; kept && i < ranges->count; i++)
        size += size_of(&ranges->at[i]);
    kept = kept && (size == 0 || keep(ranges, size));
    int failure = errno;
    munmap(ranges, sizeof *ranges);
    errno = failure;
    return kept ? PyLong_FromSize_t(size) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *give_back(PyObject *module, PyObject *argument) {
    (void)module;
    long sleeper = PyLong_AsLong(argument);
    if (sleeper == -1 && PyErr_Occurred())
        return NULL;
    struct run run = {0, 0, 0};
    if (originals.count == 0 || alone(sleeper) != 1 || catches_others())
        return PyLong_FromSize_t(0);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    char *text = pagemap < 0 ? NULL : read_text("/proc/self/maps"), *at = text;
    int read_all = text != NULL;
    int failure = errno;
    if (text != NULL) {
        struct line line;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (read_all && next_line(&at, &line))
            if (is_of_originals(&line))
                read_all = give_back_in(&line, pagemap, &run);
        failure = errno;
        for (size_t i = 0; i < originals.count; i++)
            if (originals.slots[i].view != NULL)
                madvise((void *)originals.slots[i].view, originals.slots[i].size, MADV_DONTNEED);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        munmap(text, TEXT);
    }
    if (pagemap >= 0)
        close(pagemap);
    errno = failure;
    return read_all ? PyLong_FromSize_t(run.given) : PyErr_SetFromErrno(PyExc_OSError);
}

static PyMethodDef methods[] = {
    {"keep_originals", keep_originals, METH_NOARGS, NULL},
    {"give_back", give_back, METH_O, NULL},
    {"own_pages", own_pages, METH_NOARGS, NULL},
    {"copy_pages", copy_pages, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_pages", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pages(void) { return PyModuleDef_Init(&definition); }
