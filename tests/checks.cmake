# What the tests of this folder are run with beside their plain build, and checks without a binary.

# The binaries that a build with sanitizers consists of: `ninja -C build/asan sanitized`.
get_property(sanitized GLOBAL PROPERTY PERENNIAL_SANITIZED)
# What starts threads; the other layers are pure functions.
set(threaded ${sanitized})
list(FILTER threaded EXCLUDE REGEX "^unit_(api|stats|deployment|drift|retrain)$")
if(PERENNIAL_SANITIZE MATCHES "thread")
  add_custom_target(sanitized DEPENDS ${threaded})
else()
  add_custom_target(sanitized DEPENDS ${sanitized} stories)
endif()

option(PERENNIAL_SANITIZER_TESTS "Also run the tests of build/asan and build/tsan" OFF)
if(PERENNIAL_SANITIZE)
  return()
endif()

# perennial_sanitized_test(PRESET NAME [LAUNCHER...]) runs a binary of that preset's build.
function(perennial_sanitized_test preset name)
  set(launcher ${ARGN})
  if(name MATCHES "^unit_")
    list(PREPEND launcher ${YIELDING})
  endif()
  add_test(NAME ${preset}.${name}
    COMMAND ${launcher} ${PROJECT_SOURCE_DIR}/build/${preset}/bin/${name})
  set_tests_properties(${preset}.${name} PROPERTIES LABELS sanitizer TIMEOUT 1200
    ENVIRONMENT "UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan.suppressions")
  if(name STREQUAL prometheus)
    set_tests_properties(${preset}.${name} PROPERTIES RESOURCE_LOCK prometheus)
  elseif(${preset}.${name} STREQUAL tsan.faults)
    measures_time(${preset}.${name})
  elseif(NOT name MATCHES "^unit_")
    measures_time_lightly(${preset}.${name})
  endif()
endfunction()

if(PERENNIAL_SANITIZER_TESTS)
  # Address space randomisation of newer kernels and the thread sanitizer of g++ 12 don't go together.
  find_program(SETARCH_PROGRAM setarch REQUIRED)
  foreach(name ${sanitized})
    perennial_sanitized_test(asan ${name})
  endforeach()
  foreach(name ${threaded})
    perennial_sanitized_test(tsan ${name} ${SETARCH_PROGRAM} -R)
  endforeach()
  # Once is enough, and there it is optimized.
  set_target_properties(stories PROPERTIES EXCLUDE_FROM_ALL ON)
  # Millions of short-lived values: what is kept of each costs a quarter of the time.
  perennial_story_tests(asan.stories ${PROJECT_SOURCE_DIR}/build/asan/bin/stories
    "ASAN_OPTIONS=malloc_context_size=4:quarantine_size_mb=16")
else()
  perennial_story_tests(stories $<TARGET_FILE:stories>)
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)
function(perennial_check name label)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()

perennial_check(lint.layers lint ${Python3_EXECUTABLE} hack/check_layers.py)
perennial_check(lint.format lint hack/format --check)
perennial_check(lint.scripts lint hack/lint-scripts)
perennial_check(lint.tidy lint ${YIELDING} hack/tidy)
# With an empty cache for minutes.
set_tests_properties(lint.tidy PROPERTIES TIMEOUT 3600)
perennial_check(sample.departures sample samples/departures/run_tests.sh)
