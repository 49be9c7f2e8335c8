/* SPDX-License-Identifier: MIT */
/* For work that does no harm when it comes later, but that many connections may want in the same moment: conn_list asks
 * before it fetches a list only to know its fingerprint. One number is enough for it (a bucket that leaks, told as the time
 * at which it will be empty). */
#include "worker/conn/pace.h"

enum { MS_US = 1000, SECOND_US = 1000000, AT_ONCE_US = SECOND_US / 10 };

bool pace_take(struct pace *pace, unsigned a_second, uint64_t now_ms)
{
    uint64_t now_us = now_ms * MS_US;
    uint64_t full_us = pace->full_us > now_us ? pace->full_us : now_us;
    uint64_t one_us = SECOND_US / a_second;
    if (full_us + one_us > now_us + AT_ONCE_US)
        return false;
    pace->full_us = full_us + one_us;
    return true;
}
