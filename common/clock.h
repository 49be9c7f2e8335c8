/* SPDX-License-Identifier: MIT */
/* The two clocks. Wall time is for people and for what outlives a process (rows, events); monotonic time is for
 * intervals within one process. Never subtract one from the other. Any thread. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* Milliseconds since the epoch. */
uint64_t clock_wall_ms(void);

/* Microseconds since the epoch: latency across processes of one machine. */
uint64_t clock_wall_us(void);

/* Milliseconds and microseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

#endif
