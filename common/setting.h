/* SPDX-License-Identifier: MIT */
/* settings.def as a table: what readers and writers of the configuration walk over. Only config*.c use it. Pure. */
#ifndef COMMON_SETTING_H
#define COMMON_SETTING_H

#include "common/buf.h"
#include "common/compiler.h"
#include "common/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_TYPE_INT,
    SETTING_TYPE_DURATION,
    SETTING_TYPE_TEXT,
    SETTING_TYPE_LIST,
    SETTING_TYPE_SWITCH,
    SETTING_TYPE_CHOICE
};

/* Position in setting_table: SETTING_INDEX_workers, … */
enum setting_index {
#define SETTING_INT(field, ...)      SETTING_INDEX_##field,
#define SETTING_DURATION(field, ...) SETTING_INDEX_##field,
#define SETTING_TEXT(field, ...)     SETTING_INDEX_##field,
#define SETTING_LIST(field, ...)     SETTING_INDEX_##field,
#define SETTING_SWITCH(field, ...)   SETTING_INDEX_##field,
#define SETTING_CHOICE(field, ...)   SETTING_INDEX_##field,
#include "common/settings.def"
    SETTING_COUNT
};

enum { SETTING_ERROR_SIZE = 256 };

/* What storing can come to, besides 0. */
enum setting_outcome {
    SETTING_WRONG = 1,     /* it is no such value; `error` says why and what is allowed */
    SETTING_NO_MEMORY = 2, /* `error` says so */
};

struct setting {
    const char *flag; /* also the key in the configuration file */
    const char *metavar;
    const char *help;
    const char *default_text; /* of TEXT and CHOICE; may be NULL */
    const char *words;        /* of CHOICE: "a|b|c" */
    uint64_t default_number, min, max;
    size_t offset; /* of its field in struct config */
    enum setting_type type;
    char letter; /* of the short flag, or 0 */
};

extern const struct setting setting_table[SETTING_COUNT];

/* By the first `length` bytes of a name without dashes, or by letter; NULL when there is none. */
const struct setting *setting_find(const char *name, size_t length);
const struct setting *setting_find_letter(char letter);

/* Whether it holds as long as the broker runs. */
bool setting_is_fixed(const struct setting *setting);

bool setting_is_same(const struct setting *setting, const struct config *a, const struct config *b);
void setting_swap(const struct setting *setting, struct config *a, struct config *b);

/* Sets the field to the default; its old value is not freed. Without memory a TEXT is NULL. */
void setting_reset(const struct setting *setting, struct config *config);
void setting_free(const struct setting *setting, struct config *config);

/* Reads `text` as a user writes it, into the field; a LIST is added to. On any outcome but 0 the field is unchanged. */
MUST_CHECK int setting_store(const struct setting *setting, struct config *config, const char *text,
                             char error[SETTING_ERROR_SIZE]);

/* The field as a machine writes it: decode takes what encode wrote, whatever a user may set. An unset TEXT is not
 * written: encode appends nothing. Outcomes are buf's and setting's. */
MUST_CHECK int setting_encode(const struct setting *setting, const struct config *config, struct buf *out);
MUST_CHECK int setting_decode(const struct setting *setting, struct config *config, const char *text);

#endif
