/* starved_parts.h - what the parts of starved.h share: changes of the model. Threads: one.
 */
#ifndef BC_STARVED_PARTS_H
#define BC_STARVED_PARTS_H

#include "starved.h"

/* Which script, which allocation: for messages. */
extern char starved_context[256];

int starved_add_item(struct starved *store, int partition, const char *name);
void starved_remove_item(struct starved *store, int i); /* STARVED_NONE is fine */

/* The content of a name, made where there is none, about to be changed. */
struct starved_content *starved_content_of(struct starved *store, int partition, const char *name);

void starved_pattern(uint8_t *bytes, size_t size, unsigned seed);
void starved_path(const struct starved *store, int partition, char path[256]);

#endif
