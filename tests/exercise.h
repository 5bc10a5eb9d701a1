/* exercise.h - the model of tool_exercise.c: the files as they should be, and what a crash may leave of them.
 *
 * One thread. A function that finds a difference says so, shows the last operations on that file, and ends the program.
 */
#ifndef EXERCISE_H
#define EXERCISE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { DIRS = 4, NAMES_EACH = 14, NAMES = DIRS * NAMES_EACH, FILES = 300, NOTES = 24 };

/* A content, by its hash. */
struct state {
    uint64_t hash;
    size_t size;
};

struct file {
    int fd;         /* -1: not open */
    uint64_t names; /* bits: where it is; none: unlinked, and fd is open */
    uint64_t may;   /* where it may be after a crash */
    bool must;      /* it must be at one of those */
    bool loose;     /* its content is not known after a crash */
    bool linked;    /* it had several names */
    uint8_t *data;  /* size bytes, room of them allocated */
    size_t size, room;
    struct state *states; /* since its last fsync */
    size_t states_count, states_room;
    struct timespec mtime;
    char notes[NOTES][100]; /* the last operations on it */
    long notes_count;
};

/* Set by the program. */
extern const char *root;
extern size_t largest;
extern unsigned seed;
extern bool crashes;    /* there will be some: keep the hashes */
extern bool kill_asked; /* the daemon dies about now */
extern long operation;
extern sigjmp_buf mount_died; /* where a call leads that failed since then */
extern bool may_be_full;      /* the call at work may find no space; then it leads to disk_full */
extern sigjmp_buf disk_full;

extern struct file *files[FILES]; /* NULL: free */
extern struct file *at[NAMES];    /* by name; NULL: none */
extern bool name_must[NAMES];     /* after a crash too, some file is there */
extern uint8_t *buffer;           /* of `largest` bytes and some more */
extern void *mapped;              /* of mapped_size bytes; taken away by close_all() */
extern size_t mapped_size;

unsigned draw(size_t below);

/* The path of a name, good until the next call but one. */
const char *path(int name);

/* Adds a line to the last operations on a file. */
void note(struct file *f, const char *format, ...);

/* Ends the program unless `fine`. A call that failed since the daemon was killed goes to mount_died instead. */
void need(const struct file *f, bool fine, const char *what);

/* The model's side of operations. A content is remembered before the call that makes it: the crash may be inside. */
struct file *new_file(int name);
bool is_alive(const struct file *f);
void free_file(int i);
void resize(struct file *f, size_t size);
void remember(struct file *f);
void name_lost(int name);
void name_gained(int name, struct file *f);
void file_synced(struct file *f);

/* The names in a directory are durable; with dir 0, which is the mount's root, everything is. */
void dir_synced(int dir);

/* The file, whose last call found no space, is as it was in one of its states from the given one on. */
void settle(struct file *f, size_t first_state);

/* A file's descriptor, opened if need be. */
int descriptor(struct file *f);

void compare_part(struct file *f, size_t offset, size_t size);
void compare_stat(struct file *f);
void compare_listing(int dir);
void compare_all(void);

/* Asks for a clean remount, or for the mount after a kill, and compares. */
void remount(void);
void recover(void);

extern const char *const dirs[DIRS];

#endif
