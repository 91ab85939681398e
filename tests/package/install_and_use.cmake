# Run by ctest with BUILD, SOURCE, README, WORK, VERSION; any step that fails ends it.
function(step)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(expect text)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(FIND "${output}" "${text}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "'${ARGN}' should print '${text}'; it printed:\n${output}")
  endif()
endfunction()

# The README's C++ block, up to the registry row and from it on: what it promises must compile.
function(cut_readme class_file row_file)
  file(READ ${README} text)
  string(REGEX MATCH "```cpp\n(.*)// one row of the table[^\n]*\n(.*)```" found "${text}")
  if(NOT found)
    message(FATAL_ERROR "${README}: no C++ block with a class and '// one row of the table ...'")
  endif()
  file(WRITE ${class_file} "${CMAKE_MATCH_1}")
  string(REGEX REPLACE "\n```.*" "" row "${CMAKE_MATCH_2}")
  file(WRITE ${row_file} "inline void add_readme_sampler(SamplerRegistry& registry) {\n${row}\n}\n")
endfunction()

file(REMOVE_RECURSE ${WORK})
cut_readme(${WORK}/readme/readme_class.h ${WORK}/readme/readme_row.h)
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
     -DCMAKE_PREFIX_PATH=${WORK}/prefix -DSURPRISAL_VERSION=${VERSION}
     -DREADME_PARTS=${WORK}/readme)
step(${CMAKE_COMMAND} --build ${WORK}/build)
expect("hesitant: sure of token 1" ${WORK}/build/own_sampler)
