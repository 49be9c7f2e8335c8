/* SPDX-License-Identifier: MIT */
/* What a probe found, as text for people. */
#ifndef CTL_PROBE_VIEW_H
#define CTL_PROBE_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* The JSON that `--json` would print; copes with any field missing. Writes to the stream given, nothing else. */
void probe_view(FILE *out, const json_t *report);

#endif
