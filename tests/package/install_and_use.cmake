# Run by ctest with BUILD, SOURCE, README, SAMPLERS_README, PYTHON, RANDOM_MODEL, WORK and VERSION; any
# step that fails ends it.
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

# The samplers' README, "From an empty file to a sweep": its files as they stand there.
function(cut_sweep folder)
  file(READ ${SAMPLERS_README} text)
  string(REGEX MATCH "## From an empty file[^\n]*\n(.*)## Prototype" section "${text}")
  foreach(pair cpp:my_sampler.cpp cmake:CMakeLists.txt yaml:sweep.yaml)
    string(REPLACE ":" ";" pair ${pair})
    list(GET pair 0 language)
    list(GET pair 1 file)
    string(REGEX MATCH "```${language}\n([^`]*)```" found "${section}")
    if(NOT found)
      message(FATAL_ERROR "${SAMPLERS_README}: no ${language} block for ${file}")
    endif()
    file(WRITE ${folder}/${file} "${CMAKE_MATCH_1}")
  endforeach()
endfunction()

file(REMOVE_RECURSE ${WORK})
cut_readme(${WORK}/readme/readme_class.h ${WORK}/readme/readme_row.h)
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
     -DCMAKE_PREFIX_PATH=${WORK}/prefix -DSURPRISAL_VERSION=${VERSION}
     -DREADME_PARTS=${WORK}/readme)
step(${CMAKE_COMMAND} --build ${WORK}/build)
expect("hesitant: sure of token 1" ${WORK}/build/own_sampler)

cut_sweep(${WORK}/sweep)
step(${CMAKE_COMMAND} -S ${WORK}/sweep -B ${WORK}/sweep/build -G Ninja -DCMAKE_BUILD_TYPE=Release
     -DCMAKE_PREFIX_PATH=${WORK}/prefix)
step(${CMAKE_COMMAND} --build ${WORK}/sweep/build)
execute_process(COMMAND ${PYTHON} -c "import numpy, safetensors" RESULT_VARIABLE no_packages
                OUTPUT_QUIET ERROR_QUIET)
if(no_packages)
  message(STATUS "The sweep was built but not run: ${PYTHON} cannot make a random model")
  return()
endif()
step(${PYTHON} ${RANDOM_MODEL} ${WORK}/sweep/SmolLM2-135M-Instruct --seed 0)
execute_process(COMMAND build/my_sampler sweep.yaml WORKING_DIRECTORY ${WORK}/sweep
                OUTPUT_VARIABLE table COMMAND_ERROR_IS_FATAL ANY)
foreach(cell "greedy" "lead=0.1" "lead=0.3" "lead=0.9")
  if(NOT table MATCHES "${cell}")
    message(FATAL_ERROR "the sweep's table lacks '${cell}':\n${table}")
  endif()
endforeach()
