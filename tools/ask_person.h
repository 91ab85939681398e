#pragma once

#include "experiments/engine.h"

namespace surprisal {

/// Asks the person at the terminal: shows the options on standard error, reads a line. A number
/// takes an option, other words are inserted as they are, an empty line or the end of input takes
/// the option held for best.
AskPolicy ask_person();

/// Whether somebody can answer: standard input and standard error are a terminal.
bool person_is_there();

}  // namespace surprisal
