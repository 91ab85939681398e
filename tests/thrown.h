#pragma once

#include <gtest/gtest.h>

#include <string>

#include "lib/error.h"

namespace surprisal::test {

/// The message of the Error that `action` throws, whose code must be `code`; "" if it throws none.
template <typename Action>
std::string thrown(ErrorCode code, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown, expected " << error_code_name(code);
  return "";
}

}  // namespace surprisal::test
