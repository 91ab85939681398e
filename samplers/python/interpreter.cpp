#include "samplers/python/interpreter.h"

#include <mutex>

namespace py = pybind11;

namespace surprisal {

void start_python() {
  static std::once_flag started;
  std::call_once(started, [] {
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    PyStatus status =
        PyConfig_SetBytesString(&config, &config.program_name, SURPRISAL_PYTHON_EXECUTABLE);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
      throw Error(ErrorCode::kConfig,
                  std::string("python: the interpreter of " SURPRISAL_PYTHON_EXECUTABLE
                              " does not start: ") +
                      (status.err_msg != nullptr ? status.err_msg : "unknown reason"));
    PyEval_SaveThread();
  });
}

Error script_error(py::error_already_set& raised, const std::string& script) {
  std::string line;
  for (py::object trace = raised.trace() ? py::object(raised.trace()) : py::none();
       !trace.is_none(); trace = trace.attr("tb_next"))
    if (trace.attr("tb_frame").attr("f_code").attr("co_filename").cast<std::string>() == script)
      line = ":" + py::str(trace.attr("tb_lineno")).cast<std::string>();
  const py::object value = raised.value();
  if (line.empty() && py::hasattr(value, "lineno") && !value.attr("lineno").is_none())
    line = ":" + py::str(value.attr("lineno")).cast<std::string>();  // a SyntaxError
  return Error(ErrorCode::kConfig, script + line + ": " +
                                       raised.type().attr("__name__").cast<std::string>() + ": " +
                                       py::str(value).cast<std::string>());
}

}  // namespace surprisal
