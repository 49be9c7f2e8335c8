/* SPDX-License-Identifier: MIT */
/* Makes JSON of what a probe has found. Nothing that could be a secret is in it: of the URL only the origin, of the
 * server's words only its name and the names of its capabilities.
 *
 * A value that could not be made (NULL) makes json_pack and json_object_set_new fail, so that one look at the end of
 * each function is enough. */
#include "worker/probe_report.h"

#include "common/event.h"

enum { ORIGIN_SIZE = 512 };

void probe_report_fini(struct probe_report *report)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        json_decref(report->lists[kind].items);
    json_decref(report->called);
    json_decref(report->call_result);
}

bool probe_report_is_good(const struct probe_report *report)
{
    if (report->called && !report->call_result)
        return false;
    if (report->state != STATE_UNSUPPORTED)
        return report->state == STATE_LISTENING || report->state == STATE_POLLING;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        if (report->lists[kind].failed)
            return false;
    return true;
}

static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *count_of(const struct probe_list *list)
{
    return list->known ? json_integer(list->count) : json_null();
}

static json_t *hash_of(const struct probe_list *list)
{
    char text[FINGERPRINT_TEXT_SIZE];
    return list->known ? json_string(fingerprint_format(list->fingerprint, text)) : json_null();
}

static json_t *names_of(uint8_t kinds)
{
    json_t *names = json_array();
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if ((kinds & 1U << kind) != 0 && json_array_append_new(names, json_string(kind_name(kind))) != 0) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

static bool is_greeted(const struct probe_report *report)
{
    return report->facts.protocol_version != NULL;
}

static json_t *capabilities_of(const struct probe_report *report)
{
    if (!is_greeted(report))
        return json_null();
    json_t *capabilities = json_object();
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if ((report->facts.has & 1U << kind) == 0)
            continue;
        int advertised = (report->facts.advertised & 1U << kind) != 0;
        if (json_object_set_new(capabilities, kind_name(kind), json_pack("{s:b}", "listChanged", advertised)) != 0) {
            json_decref(capabilities);
            return NULL;
        }
    }
    return capabilities;
}

static json_t *changes_of(const struct probe_report *report, uint8_t events)
{
    json_t *changes = json_object();
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if ((events & 1U << kind) == 0)
            continue;
        if (json_object_set_new(changes, kind_name(kind), json_integer(report->lists[kind].changes)) != 0) {
            json_decref(changes);
            return NULL;
        }
    }
    return changes;
}

static json_t *stream_of(const struct probe_report *report, uint8_t events)
{
    if (report->opened_ms == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:o}", "openedAfterMs", (json_int_t)(report->opened_ms - report->started_ms),
                     "heldMs", (json_int_t)(report->closed_ms - report->opened_ms), "resumed",
                     (json_int_t)report->resumed, "changes", changes_of(report, events));
}

static json_t *supports_list_changed(const struct probe_report *report)
{
    if (!is_greeted(report))
        return json_null();
    return json_boolean((report->facts.advertised & 1U << KIND_TOOLS) != 0 || report->lists[KIND_TOOLS].changes > 0);
}

static bool merge(json_t *object, json_t *part)
{
    int result = json_object_update(object, part);
    json_decref(part);
    return result == 0;
}

static json_t *tls_part(const struct http_last_tls *tls)
{
    static const char *const words[] = {[HTTP_TLS_NONE] = "",
                                        [HTTP_TLS_VERIFIED] = "verified",
                                        [HTTP_TLS_UNVERIFIED] = "not verified",
                                        [HTTP_TLS_FAILED] = "failed"};
    return json_pack("{s:o, s:o, s:o}", "tls", text_or_null(words[tls->tls]), "tlsVersion", text_or_null(tls->version),
                     "tlsCipher", text_or_null(tls->cipher));
}

static json_t *server_part(const struct probe_report *report, const struct server_def *def)
{
    char origin[ORIGIN_SIZE];
    bool answered = report->http_version[0] != '\0' || report->tls.tls != HTTP_TLS_NONE;
    enum era era = is_greeted(report) ? report->facts.era : ERA_UNKNOWN;
    return json_pack("{s:s, s:s, s:b, s:o, s:s, s:o, s:o, s:o}", "origin",
                     server_def_origin(def, origin, sizeof(origin)), "transport", transport_name(def->transport),
                     "reachable", (int)(answered || report->heard), "http", text_or_null(report->http_version), "era",
                     era_name(era), "protocolVersion", text_or_null(report->facts.protocol_version), "serverInfo",
                     text_or_null(report->server_info), "capabilities", capabilities_of(report));
}

static json_t *lists_part(const struct probe_report *report)
{
    const struct probe_list *tools = &report->lists[KIND_TOOLS], *prompts = &report->lists[KIND_PROMPTS],
                            *resources = &report->lists[KIND_RESOURCES];
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "toolCount", count_of(tools), "toolsHash", hash_of(tools),
                     "promptCount", count_of(prompts), "promptsHash", hash_of(prompts), "resourceCount",
                     count_of(resources), "resourcesHash", hash_of(resources));
}

/* An object, whose members are there only when they were asked for. */
static json_t *wanted_part(const struct probe_report *report)
{
    json_t *part = json_object();
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (report->lists[kind].items && json_object_set(part, kind_name(kind), report->lists[kind].items) != 0)
            goto fail;
    }
    if (report->called &&
        json_object_set_new(part, "call",
                            json_pack("{s:O, s:O?, s:o}", "tool", report->called, "result", report->call_result,
                                      "error", text_or_null(report->call_error))) != 0)
        goto fail;
    return part;
fail:
    json_decref(part);
    return NULL;
}

static json_t *state_part(const struct probe_report *report, const struct server_def *def)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:b, s:o, s:o}", "events", names_of(def->events), "heard",
                     names_of(report->facts.heard), "stream", stream_of(report, def->events), "state",
                     state_name(report->state), "connected", (int)state_is_connected(report->state),
                     "supportsListChanged", supports_list_changed(report), "lastError", text_or_null(report->error));
}

json_t *probe_report_view(const struct probe_report *report, const struct server_def *def)
{
    json_t *view = json_object();
    bool made = merge(view, server_part(report, def));
    made = merge(view, tls_part(&report->tls)) && made;
    made = merge(view, lists_part(report)) && made;
    made = merge(view, wanted_part(report)) && made;
    made = merge(view, state_part(report, def)) && made;
    if (made)
        return view;
    json_decref(view);
    return NULL;
}
