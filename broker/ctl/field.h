/* SPDX-License-Identifier: MIT */
/* Fields of the broker's answers. One that is missing, or of another type than this program knows, is as good as none. */
#ifndef CTL_FIELD_H
#define CTL_FIELD_H

#include <jansson.h>
#include <stdint.h>

/* "" when there is none. */
static inline const char *field_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Times and counts: not negative. 0 when there is none. */
static inline uint64_t field_number(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));

    return number > 0 ? (uint64_t)number : 0;
}

#endif
