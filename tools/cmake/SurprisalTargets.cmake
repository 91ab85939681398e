# Two wrappers, so that every room's CMakeLists.txt is a list of its files and of what it may call.
#
#   surprisal_library(core SOURCES a.cpp b.cpp LINK yaml-cpp)   -> surprisal_core, surprisal::core
#   surprisal_program(tokenize LINK surprisal::core)            -> build/.../bin/tokenize, from tokenize.cpp

add_library(surprisal_warnings INTERFACE)  # not exported: our warnings are not our users' concern
target_compile_options(surprisal_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<BOOL:${SURPRISAL_WERROR}>:-Werror>)

if(SURPRISAL_SANITIZE)
  add_compile_options(-fsanitize=${SURPRISAL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SURPRISAL_SANITIZE})
endif()
if(SURPRISAL_SANITIZE STREQUAL "thread")
  add_compile_options(-Wno-tsan)  # it does not follow fences: ours, HWY_FENCE, are for the compiler
endif()
if(SURPRISAL_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-maybe-uninitialized)  # it holds std::regex's, instrumented, for such
endif()
if(SURPRISAL_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage is what guides libFuzzer
endif()
# A program links LibTorch's libraries only if it uses them: loading them takes a third of a second.
add_link_options(-Wl,--as-needed)

function(surprisal_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  set(target surprisal_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(surprisal::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/surprisal>)
  target_link_libraries(${target} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:surprisal_warnings>)
  install(TARGETS ${target} EXPORT surprisalTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/surprisal/${room}
          FILES_MATCHING PATTERN "*.h")
endfunction()

add_custom_target(programs)  # all of them, without the tests: what the quick start builds

function(surprisal_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${name}.cpp ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} CLI11::CLI11 surprisal_warnings)
  add_dependencies(programs ${name})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
