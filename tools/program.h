#pragma once

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "lib/error.h"
#include "lib/version.h"

namespace surprisal {

/// What every program's main does alike: --help, --version, usage errors with status 2, an Error as
/// one line on stderr with its exit status. `define` declares the options; `body` is run after
/// parsing and returns the status.
inline int run_program(int argc, char** argv, const std::string& description,
                       const std::function<void(CLI::App&)>& define,
                       const std::function<int()>& body) {
  CLI::App app(description);
  app.set_version_flag("--version", std::string(kVersion));
  app.get_formatter()->column_width(34);
  const std::string name = argc > 0 ? argv[0] : "surprisal";
  try {
    define(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
    }
    return body();
  } catch (const Error& error) {
    std::cerr << name.substr(name.rfind('/') + 1) << ": error: " << error.what() << "\n";
    return exit_status(error.code());
  } catch (const std::exception& error) {
    std::cerr << name.substr(name.rfind('/') + 1)
              << ": internal error (please report it): " << error.what() << "\n";
    return 1;
  }
}

}  // namespace surprisal
