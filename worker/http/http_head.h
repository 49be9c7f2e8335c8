/* SPDX-License-Identifier: MIT */
/* Reads the head of a response, line by line, and keeps of it what a listener wants to know. Private to http*.c. Pure:
 * the clock is an argument. */
#ifndef WORKER_HTTP_HEAD_H
#define WORKER_HTTP_HEAD_H

#include "common/compiler.h"
#include "worker/http/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_SESSION_ID_MAX = 4096,
    HTTP_HEAD_TEXT_MAX = 2048,
    HTTP_HEAD_RETRY_AFTER_MAX_MS = 24 * 60 * 60 * 1000,
};

struct http_head_reader {
    int status;
    bool is_chunked; /* Transfer-Encoding */
    bool is_encoded; /* Content-Encoding, but "identity" */
    bool has_length; /* Content-Length, which counts for nothing beside chunks */
    char content_type[256];
    char session_id[HTTP_HEAD_SESSION_ID_MAX + 1];
    char www_authenticate[HTTP_HEAD_TEXT_MAX + 1];
    char location[HTTP_HEAD_TEXT_MAX + 1];
    char retry_after[64];
};

/* Before the first line. */
void http_head_init(struct http_head_reader *reader);

/* Takes one line, with or without its line end. True when that was the end of the final head: not for the end of a
 * 1xx head, which is forgotten. */
MUST_CHECK bool http_head_feed(struct http_head_reader *reader, const char *line, size_t size);

/* What has been read; the texts are the reader's. */
void http_head_get(const struct http_head_reader *reader, uint64_t now_wall_ms, struct http_head *head);

#endif
