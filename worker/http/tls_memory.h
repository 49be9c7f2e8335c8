/* SPDX-License-Identifier: MIT */
/* Where OpenSSL's memory comes from. */
#ifndef WORKER_TLS_MEMORY_H
#define WORKER_TLS_MEMORY_H

#include <stdbool.h>

/* From now on what OpenSSL holds lies in cells of its own. To be called before anything else of OpenSSL; later it does
 * nothing. */
void tls_memory_init(void);

/* Whether what this thread asks for from now on is held for a moment only, as far as one can tell. */
void tls_memory_is_brief(bool is_brief);

/* Gives back what is not in use. Any thread. */
void tls_memory_trim(void);

#endif
