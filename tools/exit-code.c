/*
 * Exit codes: their meanings, and which error leads to which.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/domain.h"
#include "exit-code.h"

G_DEFINE_QUARK(yankctl_exit_code, exit_error)

const char *exit_code_meaning(ExitCode code)
{
    static const char *const meanings[EXIT__MAX] = {
        [EXIT_OK] = "done; the domain is well",
        [EXIT_FAILED] = "failed; the message says why",
        [EXIT_USAGE] = "the command line or a configuration file is wrong",
        [EXIT_NOT_FOUND] = "there is no such domain, or no such instance",
        [EXIT_UNREACHABLE] = "the monitor cannot be reached",
        [EXIT_TIMEOUT] = "no answer within the deadline",
        [EXIT_STUCK] = "the main loop is stuck, or still is after a yank",
        [EXIT_NO_LANE] = "a stock process hangs and nobody holds a lane to it",
        [EXIT_REFUSED] = "refused because it would do harm",
        [EXIT_GUEST_SILENT] = "the guest agent does not answer",
        [EXIT_GUEST_FAILED] = "the guest has stopped on an error",
    };

    return meanings[code];
}

static ExitCode of_connection_error(YcError code)
{
    switch (code) {
    case YC_ERROR_INVALID:
        return EXIT_USAGE;
    case YC_ERROR_CONNECT:
    case YC_ERROR_NO_GREETING:
    case YC_ERROR_PROTOCOL:
    case YC_ERROR_CLOSED:
        return EXIT_UNREACHABLE;
    case YC_ERROR_NO_NEGOTIATION:
        return EXIT_NO_LANE;
    case YC_ERROR_TIMEOUT:
        return EXIT_TIMEOUT;
    case YC_ERROR_QMP_DEVICE_NOT_FOUND:
        return EXIT_NOT_FOUND;
    default:
        return EXIT_FAILED;
    }
}

static ExitCode of_domain_error(YcDomainError code)
{
    switch (code) {
    case YC_DOMAIN_ERROR_BUSY:
        return EXIT_TIMEOUT;
    case YC_DOMAIN_ERROR_GONE:
        return EXIT_UNREACHABLE;
    case YC_DOMAIN_ERROR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case YC_DOMAIN_ERROR_REFUSED:
        return EXIT_REFUSED;
    default:
        return EXIT_FAILED;
    }
}

ExitCode exit_code_of(const GError *err)
{
    if (err->domain == EXIT_ERROR) {
        return err->code;
    }
    if (err->domain == YC_ERROR) {
        return of_connection_error(err->code);
    }
    if (err->domain == YC_DOMAIN_ERROR) {
        return of_domain_error(err->code);
    }
    if (err->domain == G_OPTION_ERROR || err->domain == G_KEY_FILE_ERROR ||
        err->domain == G_FILE_ERROR) {
        return EXIT_USAGE;
    }
    return EXIT_FAILED;
}
