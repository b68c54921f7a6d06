# The tests that need a Kubernetes, and the clusters that they share: ctest starts each before its
# first test and removes it after the last.
if(PERENNIAL_SANITIZE)
  return()
endif()

set(cluster ${CMAKE_CURRENT_SOURCE_DIR}/e2e/cluster)
set(e2e ${CMAKE_CURRENT_SOURCE_DIR}/e2e)

# perennial_cluster(KIND up-option...) declares the fixture KIND.
function(perennial_cluster kind)
  add_test(NAME cluster.${kind}.up COMMAND ${cluster} ${kind} up ${ARGN})
  add_test(NAME cluster.${kind}.down COMMAND ${cluster} ${kind} down)
  set_tests_properties(cluster.${kind}.up cluster.${kind}.down PROPERTIES
    LABELS cluster TIMEOUT 3600 PROCESSORS 2)
  set_tests_properties(cluster.${kind}.up PROPERTIES FIXTURES_SETUP ${kind})
  set_tests_properties(cluster.${kind}.down PROPERTIES FIXTURES_CLEANUP ${kind})
endfunction()

# An API server and its controllers, without a node: for integration.
perennial_cluster(api --control-plane-only --controller-manager)
# One cluster at a time.
set_tests_properties(cluster.api.up PROPERTIES DEPENDS e2e.rights)
if(TARGET integration)
  set_tests_properties(integration PROPERTIES FIXTURES_REQUIRED api)
endif()

# All of it, with the project's own images: for whole stories.
perennial_cluster(full)
add_test(NAME cluster.full.images COMMAND ${e2e}/load_images)
set_tests_properties(cluster.full.images PROPERTIES LABELS cluster TIMEOUT 3600 PROCESSORS 2
  FIXTURES_SETUP full DEPENDS cluster.full.up)
# The longest chain of all begins first.
set_tests_properties(cluster.full.up cluster.full.images PROPERTIES COST 1000)

# They share the cluster and measure time on it. They wait more than they work, so that what only
# computes (and yields to them, see YIELDING) runs beside them. What never comes ends a story by itself
# (PATIENCE), so its own limit only has to be longer than several of those waits.
function(perennial_story name)
  cmake_parse_arguments(ARG "" "SETUP" "FIXTURES;COMMAND;AFTER" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "e2e.${name}: what is ${ARG_UNPARSED_ARGUMENTS}?")
  endif()
  add_test(NAME e2e.${name} COMMAND ${ARG_COMMAND})
  set_tests_properties(e2e.${name} PROPERTIES LABELS e2e TIMEOUT 1800 COST 1000
    FIXTURES_REQUIRED "${ARG_FIXTURES}" DEPENDS "${ARG_AFTER}")
  measures_time(e2e.${name})
  if(ARG_SETUP)
    set_tests_properties(e2e.${name} PROPERTIES FIXTURES_SETUP ${ARG_SETUP})
  endif()
endfunction()

set(in_full ${cluster} full exec ${Python3_EXECUTABLE})
perennial_story(install FIXTURES full COMMAND ${in_full} ${e2e}/install_test.py)
perennial_story(demo FIXTURES full SETUP demo AFTER e2e.install COMMAND ${e2e}/demo_test)
perennial_story(rollback FIXTURES full demo COMMAND ${in_full} ${e2e}/rollback_test.py)
perennial_story(approval FIXTURES full demo AFTER e2e.rollback COMMAND ${in_full} ${e2e}/approval_test.py)
perennial_story(traffic FIXTURES full demo AFTER e2e.approval COMMAND ${in_full} ${e2e}/traffic_test.py)
foreach(name rollout serving variants)
  perennial_story(${name} FIXTURES full demo AFTER e2e.traffic COMMAND ${in_full} ${e2e}/${name}_test.py)
endforeach()
set_tests_properties(e2e.rollout PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
perennial_story(grpc FIXTURES full demo AFTER e2e.traffic COMMAND ${in_full} ${e2e}/grpc_test.py)
perennial_story(ab_guide FIXTURES full demo AFTER e2e.grpc COMMAND ${in_full} ${e2e}/ab_guide_test.py)
set_tests_properties(e2e.ab_guide PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
if(TARGET kubectl-perennial)
  set_tests_properties(e2e.approval PROPERTIES
    ENVIRONMENT "PERENNIAL_PLUGIN=$<TARGET_FILE:kubectl-perennial>")
endif()
perennial_story(approval_guide FIXTURES full demo AFTER e2e.ab_guide
  COMMAND ${in_full} ${e2e}/approval_guide_test.py)
set_tests_properties(e2e.approval_guide PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
perennial_story(drift_guide FIXTURES full demo AFTER e2e.approval_guide COMMAND ${in_full} ${e2e}/drift_guide_test.py)
set_tests_properties(e2e.drift_guide PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
perennial_story(retrain FIXTURES full demo AFTER e2e.drift_guide COMMAND ${in_full} ${e2e}/retrain_test.py)
set_tests_properties(e2e.retrain PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
perennial_story(triggers FIXTURES full demo AFTER e2e.approval_guide COMMAND ${in_full} ${e2e}/triggers_test.py)
set_tests_properties(e2e.triggers PROPERTIES
  ENVIRONMENT "PERENNIAL_BIN=${CMAKE_BINARY_DIR}/bin")
perennial_story(prometheus FIXTURES full demo AFTER e2e.grpc COMMAND ${in_full} ${e2e}/prometheus_test.py)
# After all others: it reads what the API server saw of them.
perennial_story(rights FIXTURES full demo COMMAND ${in_full} ${e2e}/rights_test.py
  AFTER e2e.install e2e.rollback e2e.approval e2e.traffic e2e.rollout e2e.serving e2e.variants e2e.grpc
    e2e.ab_guide e2e.approval_guide e2e.drift_guide e2e.retrain e2e.triggers e2e.prometheus)
perennial_check(rights.rules unit ${Python3_EXECUTABLE} ${e2e}/rights_rules_test.py)
perennial_check(chart lint ${e2e}/chart_test)
