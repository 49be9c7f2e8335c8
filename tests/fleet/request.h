/* SPDX-License-Identifier: MIT */
/* A client's HTTP request, as far as a simulated server reads it. Pure. */
#ifndef TESTS_FLEET_REQUEST_H
#define TESTS_FLEET_REQUEST_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

/* Most bytes of a request, head and body. */
enum { REQUEST_SIZE_MAX = 16 * 1024, REQUEST_SESSION_SIZE = 32 };

enum request_method { REQUEST_GET, REQUEST_POST, REQUEST_DELETE };

enum request_outcome {
    REQUEST_INCOMPLETE = 1,
    REQUEST_BAD = 2, /* it is no request that a fleet understands */
};

struct request {
    enum request_method method;
    uint32_t server;                    /* of the path: /s/<number> */
    char session[REQUEST_SESSION_SIZE]; /* Mcp-Session-Id; "": none */
    const char *body;                   /* within the bytes that were read */
    size_t body_size;
    size_t size; /* of all of it */
};

/* Reads the first request in `bytes`. 0 or an enum request_outcome. */
MUST_CHECK int request_read(const char *bytes, size_t size, struct request *out);

#endif
