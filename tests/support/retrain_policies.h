#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "api/codec.h"
#include "api/retrain_policy.h"

namespace perennial::testing {

// A policy that trains a model by a Job of one container, and has no trigger yet.
inline api::RetrainPolicy TrainingPolicy(kube::Key key, std::string model_deployment,
                                         const std::string& image = "t:1") {
  api::RetrainPolicy policy;
  policy.meta.uid = "uid-" + key.name;
  policy.meta.key = std::move(key);
  policy.spec.model_deployment = std::move(model_deployment);
  policy.spec.job.emplace().job_template.text =
      R"({"spec":{"template":{"spec":{"containers":[{"name":"train","image":")" + image +
      R"("}]}}}})";
  return policy;
}

// A policy of the group "stops" with a model of its own. Those of one image train together.
inline std::shared_ptr<api::RetrainPolicy> PolicyOfGroup(const std::string& name,
                                                         const std::string& image = "t:1") {
  auto policy =
      std::make_shared<api::RetrainPolicy>(TrainingPolicy({"transit", name}, "m-" + name, image));
  policy->spec.group = api::RunGroup{"stops"};
  return policy;
}

// What a plan writes into status, as the controller reads it back from the API server.
inline api::RetrainPolicyStatus StatusOf(const std::string& written) {
  const nlohmann::json object = {
      {"metadata", {{"name", "p"}, {"namespace", "n"}, {"uid", "u"}}},
      {"spec", {{"modelDeployment", "d"}, {"job", {{"template", nlohmann::json::object()}}}}},
      {"status", nlohmann::json::parse(written)}};
  auto policy = api::DecodeRetrainPolicy(object);
  EXPECT_TRUE(policy.ok()) << written;
  return policy.ok() ? policy->status : api::RetrainPolicyStatus{};
}

}  // namespace perennial::testing
