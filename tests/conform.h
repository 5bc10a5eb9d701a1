/* conform.h - what the two parts of tool_conform.c share. */
#ifndef CONFORM_H
#define CONFORM_H

#include <stdbool.h>
#include <sys/types.h>

/* Ends the program unless fine. */
void must(bool fine, const char *what);

/* Makes the stage anew, and goes there: "f" of 5 bytes, "exe", "d", "full" with "x" and "sub", "lf", "ld", "dangling",
 * "loop", the fifo "p" and the socket "s". */
void set_stage(void);

/* Makes a file. */
void put(const char *path, const char *text, mode_t mode);

/* Prints the outcome of a call on the stage, which is set again if the call did anything. */
void outcome(const char *call, const char *a, const char *b, long result);

/* conform_files.c */
void descriptor_cases(void);
void user_cases(void);

#endif
