/* routes.h -- which handler a method and a path belong to. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/api/app.h"

#define ROUTE_PARAMS 4

struct route {
    const char *method, *pattern; /* "{x}" in a segment takes what is not literal around it: "/v1/models/{m}:predict" */
    app_handler handler;
    const char *summary;          /* for the description; NULL: not described */
    const char *takes, *gives;    /* media types, "a/b c/d"; takes NULL: no body */
};

enum route_result { ROUTE_FOUND, ROUTE_UNKNOWN, ROUTE_METHOD };

struct route_match {
    const struct route *route;          /* ROUTE_FOUND */
    size_t count;
    const char *params[ROUTE_PARAMS];   /* into text */
    char text[1024];
    char allow[64];                     /* ROUTE_METHOD: "GET, DELETE" */
};

enum route_result routes_match(const char *method, const char *path, struct route_match *out);
size_t routes_list(const struct route **table);

/* openapi.c: the routes as an OpenAPI 3.1 document. */
void openapi_write(struct json_out *o);

/* Finds the handler and calls it; answers 404 and 405 itself. */
void routes_handle(struct app *app, struct http_request *r);

#endif
