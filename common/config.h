/* SPDX-License-Identifier: MIT */
/* The configuration: flags and the `--config` file, read whole and checked whole before anything changes. The
 * supervisor reads it; children get it as text over their link (config_encode, config_decode), so that no secret of it
 * (the password in a Redis URL) stands in a command line or an environment. settings.def is the list of settings. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "common/compiler.h"
#include "common/problems.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One field for each setting: uint64_t for INT and DURATION (milliseconds), char * (owned, may be NULL) for TEXT and
 * LIST, bool for SWITCH, unsigned for CHOICE (index of the word). */
struct config {
#define SETTING_INT(field, ...)      uint64_t field;
#define SETTING_DURATION(field, ...) uint64_t field;
#define SETTING_TEXT(field, ...)     char *field;
#define SETTING_LIST(field, ...)     char *field;
#define SETTING_SWITCH(field, ...)   bool field;
#define SETTING_CHOICE(field, ...)   unsigned field;
#include "common/settings.def"
};

/* Words of --sandbox. */
enum config_sandbox { CONFIG_SANDBOX_ON, CONFIG_SANDBOX_OFF };

/* What the command line asked for. */
enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_HELP, CONFIG_SHOW_VERSION };

/* Defaults of every setting. Free with config_fini, always. (Without memory for one, config_read tells.) */
void config_init(struct config *config);
void config_fini(struct config *config);

/* Reads `argv`, then the file that its --config names (a JSON object of flags' names, beside `mcpServers` if it is the
 * servers file, too), then what comes from the environment and the machine (workers: one per CPU; Redis; directories),
 * into `config`, which holds the defaults. What is wrong goes to `problems`, one line for each that names the flag and
 * the remedy. Nothing but the flags is read for CONFIG_HELP and CONFIG_SHOW_VERSION. */
enum config_action config_read(struct config *config, int argc, char *const argv[], struct problems *problems);

/* The path that the --config of `argv` names, borrowed from it; NULL when there is none. */
const char *config_file(int argc, char *const argv[]);

/* Puts those settings of `now` into `next` that hold as long as a broker runs. `on_waiting` runs for each that differed,
 * with its flag ("--redis"): the change waits for a restart. */
void config_keep_fixed(struct config *now, struct config *next, void (*on_waiting)(void *user, const char *flag),
                       void *user);

/* Writes `--help`: usage, every flag with its default, signals, exit codes. */
void config_help(FILE *out);

/* As text, `key=value` lines, every setting; the caller frees it; NULL without memory. Values have no line breaks. */
MUST_CHECK char *config_encode(const struct config *config);

/* Reads what config_encode wrote into `config`, which holds the defaults. 0, or 1 when the text is none (a child of
 * another version). */
MUST_CHECK int config_decode(struct config *config, const char *text);

#endif
