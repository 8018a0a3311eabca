/* The pages that a fork has copied: two functions of the module that _pages.c makes, and what both need of Python. */

#ifndef PAGLETS_COPIES_H
#define PAGLETS_COPIES_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *own_pages(PyObject *module, PyObject *nothing);
PyObject *copy_pages(PyObject *module, PyObject *pages);

#endif
