# What `type: python` needs: an interpreter to embed, that of the environment LibTorch comes from so that
# its packages are there, with its headers; and pybind11's, which LibTorch ships. All optional.
#
# Defines SURPRISAL_PYTHON_FOUND and SURPRISAL_PYBIND11_INCLUDE besides FindPython3's variables.

option(SURPRISAL_PYTHON "Build `type: python` where Python's headers are found" ON)
set(SURPRISAL_PYTHON_FOUND FALSE CACHE INTERNAL "")
if(NOT SURPRISAL_PYTHON)
  return()
endif()
# A wheel lies in ENVIRONMENT/lib/python3.x/site-packages/torch.
get_filename_component(_environment "${LibTorch_ROOT}/../../../.." ABSOLUTE)
if(NOT Python3_EXECUTABLE)
  find_program(_environment_python python3 PATHS ${_environment}/bin ${PROJECT_SOURCE_DIR}/.venv/bin
               NO_DEFAULT_PATH)
  if(_environment_python)
    set(Python3_EXECUTABLE ${_environment_python})
  endif()
endif()
find_package(Python3 COMPONENTS Interpreter Development.Embed QUIET)
find_path(SURPRISAL_PYBIND11_INCLUDE pybind11/embed.h HINTS ${LibTorch_INCLUDE_DIR})
mark_as_advanced(SURPRISAL_PYBIND11_INCLUDE _environment_python)
if(Python3_Development.Embed_FOUND AND SURPRISAL_PYBIND11_INCLUDE)
  set(SURPRISAL_PYTHON_FOUND TRUE CACHE INTERNAL "")
  message(STATUS "type: python embeds ${Python3_EXECUTABLE} (${Python3_VERSION})")
else()
  message(STATUS "No headers of Python or pybind11: building without `type: python`")
endif()
