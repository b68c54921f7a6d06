# The tests that need a Kubernetes API server, and the clusters that they share: ctest starts each
# before its first test and removes it after the last.
if(PERENNIAL_SANITIZE)
  return()
endif()

set(cluster ${CMAKE_CURRENT_SOURCE_DIR}/e2e/cluster)
add_test(NAME cluster.api.up COMMAND ${cluster} api up --control-plane-only --controller-manager)
add_test(NAME cluster.api.down COMMAND ${cluster} api down)
set_tests_properties(cluster.api.up cluster.api.down PROPERTIES LABELS cluster TIMEOUT 3600)
set_tests_properties(cluster.api.up PROPERTIES FIXTURES_SETUP api_server)
set_tests_properties(cluster.api.down PROPERTIES FIXTURES_CLEANUP api_server)
if(TARGET integration)
  set_tests_properties(integration PROPERTIES FIXTURES_REQUIRED api_server)
endif()
