/* SPDX-License-Identifier: MIT */
/* Audit lines go where the log goes, at whatever level that is set to: who turns the log down must not thereby turn off
 * the record of having done so. They name the asker as the kernel does (uid, pid), and never repeat a definition: it has
 * headers and tokens in it. What was tried and refused is told as well.
 */
#include "broker/hub/audit.h"

#include "common/log.h"

void audit_write(enum audit audit, const struct audit_entry *entry)
{
    struct bus_peer peer;
    if (audit == AUDIT_NONE || (audit == AUDIT_BASIC && !entry->changes))
        return;
    bool is_known = bus_question_peer(entry->question, &peer) == 0;
    log_audit("audit", LOG_TEXT("command", entry->command), LOG_TEXT("server", entry->server),
              LOG_TEXT("value", entry->value), LOG_I64("uid", is_known ? (int64_t)peer.uid : -1),
              LOG_I64("pid", is_known ? (int64_t)peer.pid : -1), LOG_TEXT("outcome", entry->outcome));
}
