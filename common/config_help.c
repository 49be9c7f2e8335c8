/* SPDX-License-Identifier: MIT */
/* `mcp-broker --help`: the flags as settings.def has them, so that a flag can't be without its line, then what else the
 * command line and the environment of a broker promise: signals and exit codes. Printed for `--help` only. */
#include "common/config.h"

#include "common/duration.h"
#include "common/setting.h"

#include <inttypes.h>
#include <string.h>

enum { TEXT_COLUMN = 32 };

/* "  -w, --workers N             text", the text on a line of its own when the flag is too long. */
static void print_flag(FILE *out, char letter, const char *flag, const char *metavar, const char *help)
{
    char left[80], prefix[8] = "    ";
    if (letter != '\0')
        snprintf(prefix, sizeof(prefix), "-%c, ", letter);
    int width = snprintf(left, sizeof(left), "  %s--%s%s%s", prefix, flag, metavar[0] != '\0' ? " " : "", metavar);
    if (width >= TEXT_COLUMN)
        fprintf(out, "%s\n%*s%s", left, TEXT_COLUMN, "", help);
    else
        fprintf(out, "%-*s%s", TEXT_COLUMN, left, help);
}

/* " (default: 15s)"; nothing when there is none, or 0 means that the text tells what it is. */
static void print_default(FILE *out, const struct setting *setting)
{
    char duration[DURATION_TEXT_SIZE];
    if (setting->default_text != NULL)
        fprintf(out, " (default: %s)", setting->default_text);
    else if (setting->default_number > 0 && setting->type == SETTING_TYPE_INT)
        fprintf(out, " (default: %" PRIu64 ")", setting->default_number);
    else if (setting->default_number > 0 && setting->type == SETTING_TYPE_DURATION)
        fprintf(out, " (default: %s)", duration_format(setting->default_number, duration));
}

static void print_setting(FILE *out, const struct setting *setting)
{
    const char *metavar = setting->metavar != NULL ? setting->metavar : "";
    print_flag(out, setting->letter, setting->flag, metavar, setting->help);
    if (setting->type == SETTING_TYPE_CHOICE)
        fprintf(out, ": %s", setting->words);
    if (setting->type == SETTING_TYPE_LIST)
        fputs("; comma-separated, may be given again", out);
    if (setting_is_fixed(setting))
        fputs("; a change waits for a restart", out);
    print_default(out, setting);
    fputc('\n', out);
}

void config_help(FILE *out)
{
    fputs("usage: mcp-broker [FLAG]...\n"
          "Watches MCP servers and tells subscribers when their tools, prompts or resources change.\n"
          "Runs in the foreground and logs to standard error.\n\n",
          out);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        print_setting(out, &setting_table[i]);
    print_flag(out, '\0', "config", "FILE", "any of these flags as keys of a JSON object; flags win\n");
    print_flag(out, '\0', "check", "", "read all configuration, say what is wrong, exit\n");
    print_flag(out, '\0', "version", "", "print the version, exit\n");
    print_flag(out, '\0', "help", "", "print this, exit\n");
    fputs("\nDurations (DUR) are written as 250ms, 15s, 30m, 2h or 7d.\n\n"
          "Signals:\n"
          "  TERM, INT   stop in order: sessions closed, registry flushed; again: at once\n"
          "  HUP         read configuration and servers file again\n"
          "  TTIN, TTOU  one worker more, one fewer\n"
          "  USR2        replace all workers, one after another\n\n"
          "Exit codes:\n"
          "  0   stopped in order, or --check found nothing\n"
          "  1   failure\n"
          "  78  the configuration, a directory or a limit is wrong; the lines before tell\n",
          out);
}
