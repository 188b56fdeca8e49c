/*
 * What a fuzz target offers, to libFuzzer and to our own driver.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

/* libFuzzer's name: runs the code under test on an input.  Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The @n-th good input, to begin with; g_byte_array_unref() it.  NULL when
 * there are no more.
 */
GByteArray *fuzz_seed(size_t n);

#endif
