/* SPDX-License-Identifier: MIT */
/* A walk along the URLs that oauth_metadata.h lists, one request at a time. What is not there (4xx, a redirect, a page
 * that is no JSON object) leads to the next one. What is there and wrong ends the walk, because going on would mean to
 * trust the next best; and an outage ends it for now, because what is missing today may be there tomorrow.
 *
 * An authorization server where the walk ends so is not the end if the resource names others: they are tried in its
 * order. But after an outage no other one is asked with a refresh token, which is of one authorization server only. */
#include "worker/oauth/oauth_discovery.h"

#include "worker/oauth/oauth_metadata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char RESOURCE_METADATA[] = "resource metadata";
static const char ISSUER_METADATA[] = "authorization server metadata";

struct oauth_discovery {
    struct oauth_network network;
    const char *server_url;
    struct oauth_fetch *fetch;
    void (*on_end)(void *user, struct oauth_way *way, const struct oauth_failure *failure);
    void *user;
    unsigned index;  /* of the next well-known URL */
    bool at_issuer;  /* the resource's metadata is done with */
    bool is_default; /* nobody names an issuer: it is the server's origin */
    bool sticks;     /* to an authorization server, through an outage */
    struct oauth_resource resource;
    unsigned issuer;              /* of the resource's */
    struct oauth_failure failure; /* of the issuers before: the first, or an outage; reason 0: none */
};

static const char *issuer_of(const struct oauth_discovery *discovery)
{
    return discovery->resource.issuers[discovery->issuer];
}

static void destroy(struct oauth_discovery *discovery)
{
    oauth_fetch_cancel(&discovery->fetch);
    free(discovery);
}

void oauth_discovery_cancel(struct oauth_discovery **discovery)
{
    if (*discovery == NULL)
        return;
    struct oauth_discovery *old = *discovery;
    *discovery = NULL;
    destroy(old);
}

/* --- the way --- */

void oauth_way_fini(struct oauth_way *way)
{
    free(way->token_endpoint);
    free(way->audience);
    free(way->resource);
    free(way->scope);
    *way = (struct oauth_way){.token_endpoint = NULL};
}

static bool make_way(struct oauth_way *way, const struct oauth_issuer *issuer, const char *resource, const char *scope)
{
    *way = (struct oauth_way){
        .token_endpoint = strdup(issuer->token_endpoint),
        .audience = strdup(issuer->issuer),
        .resource = strdup(resource),
        .scope = strdup(scope),
        .secret_in_body = issuer->secret_in_body,
    };
    if (way->token_endpoint != NULL && way->audience != NULL && way->resource != NULL && way->scope != NULL)
        return true;
    oauth_way_fini(way);
    return false;
}

bool oauth_way_from_auth(const json_t *auth, const char *server_url, struct oauth_way *way)
{
    const char *endpoint = json_string_value(json_object_get(auth, "tokenEndpoint"));
    const char *issuer = json_string_value(json_object_get(auth, "issuer"));
    char resource[OAUTH_URL_SIZE];
    struct oauth_issuer given;
    if (endpoint == NULL || !oauth_metadata_default_resource(server_url, resource))
        return false;
    snprintf(given.token_endpoint, sizeof(given.token_endpoint), "%s", endpoint);
    snprintf(given.issuer, sizeof(given.issuer), "%s", issuer != NULL ? issuer : endpoint);
    given.secret_in_body = false;
    return make_way(way, &given, resource, "");
}

/* --- ends: each frees the discovery --- */

static void fail(struct oauth_discovery *discovery, const struct oauth_failure *failure)
{
    void (*on_end)(void *user, struct oauth_way *way, const struct oauth_failure *failure) = discovery->on_end;
    void *user = discovery->user;
    destroy(discovery);
    on_end(user, NULL, failure);
}

static void go_on(struct oauth_discovery *discovery);

/* Where the walk has come to can't be used: goes on with the next authorization server, or ends it. */
static void give_up(struct oauth_discovery *discovery, const struct oauth_failure *failure)
{
    bool is_outage = failure->reason != OAUTH_REFUSED;
    if (discovery->failure.reason == 0 || (is_outage && discovery->failure.reason == OAUTH_REFUSED))
        discovery->failure = *failure;
    if (discovery->at_issuer && discovery->issuer + 1 < discovery->resource.issuer_count &&
        !(is_outage && discovery->sticks)) {
        discovery->issuer++;
        discovery->index = 0;
        go_on(discovery);
    } else {
        struct oauth_failure first = discovery->failure;
        fail(discovery, &first);
    }
}

static void refuse(struct oauth_discovery *discovery, const char *step, const char *problem)
{
    struct oauth_failure failure;
    oauth_failure_set(&failure, OAUTH_REFUSED, "%s: %s", step, problem);
    give_up(discovery, &failure);
}

static void succeed(struct oauth_discovery *discovery, const struct oauth_issuer *issuer)
{
    struct oauth_way way;
    struct oauth_failure failure;
    if (!make_way(&way, issuer, discovery->resource.resource, discovery->resource.scope)) {
        oauth_failure_of_errno(&failure, ISSUER_METADATA, -ENOMEM);
        fail(discovery, &failure);
        return;
    }
    way.is_second_best = discovery->failure.reason != 0 && discovery->failure.reason != OAUTH_REFUSED;
    void (*on_end)(void *user, struct oauth_way *way, const struct oauth_failure *failure) = discovery->on_end;
    void *user = discovery->user;
    destroy(discovery);
    on_end(user, &way, NULL);
}

/* --- the walk --- */

static void on_document(void *user, const struct oauth_document *document);

static int ask(struct oauth_discovery *discovery, const char *url)
{
    return oauth_fetch_start(&discovery->network, url, NULL, NULL, on_document, discovery, &discovery->fetch);
}

/* Nobody describes the issuer. Ends the walk. */
static void end_undescribed(struct oauth_discovery *discovery)
{
    struct oauth_issuer issuer;
    if (!discovery->is_default) {
        refuse(discovery, ISSUER_METADATA, "there is none");
        return;
    }
    const char *origin = discovery->resource.issuers[0];
    snprintf(issuer.issuer, sizeof(issuer.issuer), "%s", origin);
    int size = snprintf(issuer.token_endpoint, sizeof(issuer.token_endpoint), "%s/token", origin);
    issuer.secret_in_body = false;
    if (size >= OAUTH_URL_SIZE || !oauth_metadata_may_ask(issuer.token_endpoint, discovery->server_url))
        refuse(discovery, "token endpoint", "nobody names one, and the server itself is not on https");
    else
        succeed(discovery, &issuer);
}

/* Asks the next URL, or ends the walk. */
static void go_on(struct oauth_discovery *discovery)
{
    char url[OAUTH_URL_SIZE];
    if (!discovery->at_issuer && !oauth_metadata_resource_url(discovery->server_url, discovery->index, url)) {
        discovery->at_issuer = true;
        discovery->index = 0;
    }
    if (discovery->at_issuer && discovery->resource.issuer_count == 0) {
        discovery->is_default = true;
        if (!oauth_metadata_origin(discovery->server_url, discovery->resource.issuers[0])) {
            refuse(discovery, RESOURCE_METADATA, "the server's URL is too long");
            return;
        }
        discovery->resource.issuer_count = 1;
    }
    if (discovery->at_issuer && !oauth_metadata_issuer_url(issuer_of(discovery), discovery->index, url)) {
        end_undescribed(discovery);
        return;
    }
    discovery->index++;
    int result = ask(discovery, url);
    if (result != 0) {
        struct oauth_failure failure;
        oauth_failure_of_errno(&failure, discovery->at_issuer ? ISSUER_METADATA : RESOURCE_METADATA, result);
        fail(discovery, &failure);
    }
}

static void on_resource(struct oauth_discovery *discovery, const json_t *object)
{
    struct oauth_resource *resource = &discovery->resource;
    const char *problem = oauth_metadata_read_resource(object, discovery->server_url, resource);
    if (problem != NULL) {
        refuse(discovery, RESOURCE_METADATA, problem);
        return;
    }
    discovery->at_issuer = true;
    discovery->index = 0;
    go_on(discovery);
}

static void on_issuer(struct oauth_discovery *discovery, const json_t *object)
{
    struct oauth_issuer issuer;
    const char *problem = oauth_metadata_read_issuer(object, issuer_of(discovery), discovery->server_url, &issuer);
    if (problem != NULL)
        refuse(discovery, ISSUER_METADATA, problem);
    else
        succeed(discovery, &issuer);
}

static void on_document(void *user, const struct oauth_document *document)
{
    struct oauth_discovery *discovery = user;
    bool is_there = document->status >= 200 && document->status < 300;
    discovery->fetch = NULL;
    if (is_there && document->object != NULL && discovery->at_issuer) {
        on_issuer(discovery, document->object);
    } else if (is_there && document->object != NULL) {
        on_resource(discovery, document->object);
    } else {
        struct oauth_failure failure;
        oauth_failure_of_document(&failure, discovery->at_issuer ? ISSUER_METADATA : RESOURCE_METADATA, document);
        if (document->failure == NULL && failure.reason == OAUTH_REFUSED)
            go_on(discovery);
        else
            give_up(discovery, &failure);
    }
}

/* --- the beginning --- */

/* A challenge's URL that may not be asked counts for nothing. 0 or a negative errno. */
static int begin(struct oauth_discovery *discovery, const char *issuer, const char *metadata_url)
{
    char url[OAUTH_URL_SIZE];
    if (!oauth_metadata_default_resource(discovery->server_url, discovery->resource.resource))
        return -EINVAL;
    if (issuer != NULL) {
        snprintf(discovery->resource.issuers[0], OAUTH_URL_SIZE, "%s", issuer);
        discovery->resource.issuer_count = 1;
        discovery->at_issuer = true;
        discovery->index = 1;
        return oauth_metadata_issuer_url(issuer, 0, url) ? ask(discovery, url) : -EINVAL;
    }
    if (metadata_url[0] != '\0' && oauth_metadata_may_ask(metadata_url, discovery->server_url))
        return ask(discovery, metadata_url);
    discovery->index = 1;
    return oauth_metadata_resource_url(discovery->server_url, 0, url) ? ask(discovery, url) : -EINVAL;
}

int oauth_discovery_start(const struct oauth_network *network, const char *server_url, const json_t *auth,
                          const char *metadata_url,
                          void (*on_end)(void *user, struct oauth_way *way, const struct oauth_failure *failure),
                          void *user, struct oauth_discovery **out)
{
    struct oauth_discovery *discovery = calloc(1, sizeof(*discovery));
    if (discovery == NULL)
        return -ENOMEM;
    discovery->network = *network;
    discovery->server_url = server_url;
    discovery->on_end = on_end;
    discovery->user = user;
    discovery->sticks = json_object_get(auth, "refreshToken") != NULL;
    int result = begin(discovery, json_string_value(json_object_get(auth, "issuer")), metadata_url);
    if (result != 0) {
        destroy(discovery);
        return result;
    }
    *out = discovery;
    return 0;
}
