/* SPDX-License-Identifier: MIT */
/* How long a loop is at work between two waits: what anybody who waits for it may have met. */
#ifndef COMMON_TURN_H
#define COMMON_TURN_H

#include <stdint.h>
#include <uv.h>

struct turn {
    uint64_t ended_ns; /* the last one; 0: none yet */
    uint64_t idle_ns;  /* that the loop has waited up to then */
    uint64_t longest_ns;
};

/* Has the loop measure how long it waits. Before it runs. */
void turn_init(struct turn *turn, uv_loop_t *loop);

/* The loop is about to wait: to be called by a prepare handle. */
void turn_end(struct turn *turn, uv_loop_t *loop);

/* The longest turn since this was asked last. */
uint64_t turn_take_longest_us(struct turn *turn);

#endif
