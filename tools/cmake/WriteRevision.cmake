# cmake -DSOURCE=... -DOUTPUT=... -P WriteRevision.cmake: the revision being built, for manifests.
# Touches the file only when the revision changes.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --match=v*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[#pragma once

#include <string_view>

namespace surprisal {

/// What `git describe` said when this was built; "unknown" outside a repository.
inline constexpr std::string_view kBuildRevision = "@revision@";

}  // namespace surprisal
]])
