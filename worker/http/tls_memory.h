/* SPDX-License-Identifier: MIT */
/* Where OpenSSL's memory comes from. */
#ifndef WORKER_TLS_MEMORY_H
#define WORKER_TLS_MEMORY_H

/* From now on what OpenSSL holds lies in cells of its own. To be called before anything else of OpenSSL; later it does
 * nothing. */
void tls_memory_init(void);

/* Gives back what is not in use. Any thread. */
void tls_memory_trim(void);

#endif
