/* SPDX-License-Identifier: MIT */
/* The data of answers and events as JSON text, for programs that have a JSON library but no msgpack. */
#include "broker/client/mcp-broker.h"
#include "common/pack.h"

char *mcp_broker_json(const void *data, size_t size)
{
    json_t *value = pack_read(data, size);
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(value);
    return text;
}
