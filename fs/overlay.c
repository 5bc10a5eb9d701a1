/* overlay.c - the skip list behind overlay.h. */
#include "overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int bcfs_name_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    size_t shorter = a_size < b_size ? a_size : b_size;
    int order = shorter == 0 ? 0 : memcmp(a, b, shorter);

    if (order != 0) return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

void bcfs_overlay_init(struct bcfs_overlay *overlay)
{
    memset(overlay, 0, sizeof(*overlay));
    overlay->random = 0x9e3779b97f4a7c15u;
}

void bcfs_overlay_release(struct bcfs_overlay *overlay)
{
    struct bcfs_overlay_entry *entry = overlay->first[0];

    while (entry != NULL) {
        struct bcfs_overlay_entry *next = entry->next[0];

        free(entry);
        entry = next;
    }
    bcfs_overlay_init(overlay);
}

/* Each level has a quarter of the entries of the one below. The order does not depend on these numbers, only the
 * speed does; so a plain xorshift will do. */
static uint8_t draw_levels(struct bcfs_overlay *overlay)
{
    uint64_t bits = overlay->random;
    uint8_t levels = 1;

    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    overlay->random = bits;
    for (; (bits & 3) == 0 && levels < BCFS_OVERLAY_LEVELS; bits >>= 2) levels++;
    return levels;
}

/* Sets links[level] to the pointer that leads, on that level, to the first entry at or behind name (behind it only,
 * if `after`). */
static void find_links(struct bcfs_overlay *overlay, const char *name, size_t name_size, bool after,
                       struct bcfs_overlay_entry **links[BCFS_OVERLAY_LEVELS])
{
    struct bcfs_overlay_entry **level_links = overlay->first;

    for (size_t level = BCFS_OVERLAY_LEVELS; level-- > 0;) {
        struct bcfs_overlay_entry *next = level_links[level];

        while (next != NULL) {
            int order = bcfs_name_compare(next->name, next->name_size, name, name_size);

            if (order > 0 || (order == 0 && !after)) break;
            level_links = next->next;
            next = level_links[level];
        }
        links[level] = &level_links[level];
    }
}

static bool is_name(const struct bcfs_overlay_entry *entry, const char *name, size_t name_size)
{
    return entry != NULL && entry->name_size == name_size && memcmp(entry->name, name, name_size) == 0;
}

static void count(struct bcfs_overlay *overlay, const struct bcfs_inode *inode, bool more)
{
    size_t *counter = inode != NULL ? &overlay->live : &overlay->whiteouts;

    *counter = more ? *counter + 1 : *counter - 1;
}

bool bcfs_overlay_set(struct bcfs_overlay *overlay, const char *name, size_t name_size, struct bcfs_inode *inode)
{
    struct bcfs_overlay_entry **links[BCFS_OVERLAY_LEVELS];
    struct bcfs_overlay_entry *entry = NULL;
    size_t head_size = 0;
    uint8_t levels = 0;
    char *copy = NULL;

    assert(name_size >= 1 && name_size <= UINT8_MAX);
    find_links(overlay, name, name_size, false, links);
    if (is_name(*links[0], name, name_size)) {
        entry = *links[0];
        count(overlay, entry->inode, false);
        entry->inode = inode;
        count(overlay, entry->inode, true);
        return true;
    }
    levels = draw_levels(overlay);
    head_size = sizeof(*entry) + levels * sizeof(entry->next[0]);
    entry = malloc(head_size + name_size);
    if (entry == NULL) return false;
    copy = (char *)entry + head_size;
    memcpy(copy, name, name_size);
    entry->inode = inode;
    entry->name = copy;
    entry->name_size = (uint8_t)name_size;
    entry->levels = levels;
    for (size_t level = 0; level < levels; level++) {
        entry->next[level] = *links[level];
        *links[level] = entry;
    }
    count(overlay, inode, true);
    return true;
}

void bcfs_overlay_remove(struct bcfs_overlay *overlay, const char *name, size_t name_size)
{
    struct bcfs_overlay_entry **links[BCFS_OVERLAY_LEVELS];
    struct bcfs_overlay_entry *entry = NULL;

    find_links(overlay, name, name_size, false, links);
    entry = *links[0];
    if (!is_name(entry, name, name_size)) return;
    for (size_t level = 0; level < entry->levels; level++) *links[level] = entry->next[level];
    count(overlay, entry->inode, false);
    free(entry);
}

const struct bcfs_overlay_entry *bcfs_overlay_get(const struct bcfs_overlay *overlay, const char *name,
                                                  size_t name_size)
{
    struct bcfs_overlay_entry **links[BCFS_OVERLAY_LEVELS];

    if (overlay->first[0] == NULL) return NULL;
    /* find_links() is shared with the changers and writes nothing itself. */
    find_links((struct bcfs_overlay *)overlay, name, name_size, false, links);
    return is_name(*links[0], name, name_size) ? *links[0] : NULL;
}

const struct bcfs_overlay_entry *bcfs_overlay_after(const struct bcfs_overlay *overlay, const char *name,
                                                    size_t name_size)
{
    struct bcfs_overlay_entry **links[BCFS_OVERLAY_LEVELS];

    find_links((struct bcfs_overlay *)overlay, name, name_size, true, links);
    return *links[0];
}
