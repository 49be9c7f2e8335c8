/* SPDX-License-Identifier: MIT */
/* Header fields that a user may add to requests. Pure. */
#ifndef COMMON_HTTP_FIELD_H
#define COMMON_HTTP_FIELD_H

/* NULL when `name` may be given, else what is wrong with it, for a person: no token, or a header that belongs to the
 * connection or to MCP and is made by the worker. */
const char *http_field_name_error(const char *name);

/* NULL when `value` can stand in a header, else what is wrong (line breaks and other control characters would let it
 * pass for another header). Never tells the value: it is a secret. */
const char *http_field_value_error(const char *value);

#endif
