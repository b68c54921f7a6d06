# What the tests of this folder are run with beside their plain build, and checks without a binary.

# The binaries that a build with sanitizers consists of: `ninja -C build/asan sanitized`.
get_property(sanitized GLOBAL PROPERTY PERENNIAL_SANITIZED)
add_custom_target(sanitized DEPENDS ${sanitized})

option(PERENNIAL_SANITIZER_TESTS "Also run the tests of build/asan and build/tsan" OFF)
if(PERENNIAL_SANITIZE)
  return()
endif()

if(PERENNIAL_SANITIZER_TESTS)
  # Address space randomisation of newer kernels and the thread sanitizer of g++ 12 don't go together.
  find_program(SETARCH_PROGRAM setarch REQUIRED)
  foreach(name ${sanitized})
    add_test(NAME asan.${name} COMMAND ${PROJECT_SOURCE_DIR}/build/asan/bin/${name})
    add_test(NAME tsan.${name}
      COMMAND ${SETARCH_PROGRAM} -R ${PROJECT_SOURCE_DIR}/build/tsan/bin/${name})
    set_tests_properties(asan.${name} tsan.${name} PROPERTIES LABELS sanitizer TIMEOUT 1200
      ENVIRONMENT "UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.suppressions")
  endforeach()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)
function(perennial_check name label)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()

perennial_check(lint.layers lint ${Python3_EXECUTABLE} hack/check_layers.py)
perennial_check(lint.format lint hack/format --check)
perennial_check(lint.scripts lint hack/lint-scripts)
perennial_check(sample.departures sample samples/departures/run_tests.sh)
