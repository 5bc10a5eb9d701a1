/* finding.c - see finding.h.
 */
#include "partition/finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "partition/file_list.h"

static bc_status cancelled(void)
{
    return bc_fail(BITCASK_CANCELLED, "stopped on request");
}

static bc_status tell(const struct bc_verify *verify, bitcask_finding finding, const char *format, va_list args)
{
    bitcask_verify_result *result = verify->result;
    char text[512];

    vsnprintf(text, sizeof text, format, args);
    finding.path = verify->path;
    finding.text = text;
    switch (finding.kind) {
    case BITCASK_FOUND_DAMAGE: result->damage++; break;
    case BITCASK_FOUND_HINT: result->hints++; break;
    case BITCASK_FOUND_NOTE: result->notes++; break;
    }
    return !verify->found || verify->found(verify->context, &finding) ? BITCASK_OK : cancelled();
}

bc_status bc_tell(const struct bc_verify *verify, bitcask_finding finding, const char *format, ...)
{
    va_list args;
    bc_status status;

    va_start(args, format);
    status = tell(verify, finding, format, args);
    va_end(args);
    return status;
}

bc_status bc_tell_file(const struct bc_verify *verify, bitcask_finding_kind kind, const char *file, const char *format,
                       ...)
{
    bitcask_finding finding = {.kind = kind, .file = file};
    va_list args;
    bc_status status;

    va_start(args, format);
    status = tell(verify, finding, format, args);
    va_end(args);
    return status;
}

bc_status bc_tell_other(const struct bc_verify *verify, const char *file)
{
    return bc_tell_file(verify, BITCASK_FOUND_NOTE, file, "%s",
                        bc_is_damaged_name(file) ? "set aside by a repair; remove it when it is not needed any more"
                                                 : "a file that is none of this store's");
}

bc_status bc_pace(const struct bc_verify *verify, uint64_t bytes)
{
    return !verify->pace || verify->pace(verify->context, bytes) ? BITCASK_OK : cancelled();
}
