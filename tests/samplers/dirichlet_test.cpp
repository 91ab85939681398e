#include "samplers/entropix/dirichlet.h"

#include <gtest/gtest.h>

#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <cmath>

#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

TEST(Polygamma, EqualsBoosts) {
  for (double x = 1e-4; x < 1e5; x *= 1.7) {
    const Polygamma own = polygamma(x);
    EXPECT_NEAR(own.psi, boost::math::digamma(x), 1e-12 * std::max(1.0, std::abs(own.psi))) << x;
    EXPECT_NEAR(own.psi1 / boost::math::trigamma(x), 1, 1e-11) << x;
    EXPECT_NEAR(own.psi2 / boost::math::polygamma(2, x), 1, 1e-11) << x;
  }
}

TEST(FitDirichlet, FindsTheParametersWhoseExpectedLogarithmsTheseAre) {
  const std::vector<double> alpha = {0.7, 2.0, 5.0, 0.3, 1.0};
  double total = 0;
  for (const double a : alpha) total += a;
  std::vector<float> targets;
  for (const double a : alpha)
    targets.push_back(static_cast<float>(boost::math::digamma(a) - boost::math::digamma(total)));
  const std::vector<float> fitted = fit_dirichlet(targets);
  for (size_t i = 0; i < alpha.size(); ++i)
    EXPECT_NEAR(fitted[i], alpha[i], 0.01 * alpha[i]);  // the result is a bfloat16: 8 bits
}

TEST(DirichletLogLikelihood, IsTheDensityOnceItsSignIsMended) {
  const std::vector<float> alpha = {1, 1, 1}, log_p = {std::log(.2F), std::log(.3F), std::log(.5F)};
  EXPECT_NEAR(dirichlet_log_likelihood(log_p, alpha, true), std::log(2), 1e-6);  // uniform: 2!
  EXPECT_NEAR(dirichlet_log_likelihood(log_p, alpha, false), -std::log(2), 1e-6);
}

TEST(TuneTemperature, ReachesTheEntropy) {
  const std::vector<float> logits = test::random_logits(200, 2);
  for (const double target : {1.0, 3.0, 5.0})
    for (const bool right_hessian : {false, true}) {
      const double t = tune_temperature(logits, target, right_hessian);
      // The temperature is a bfloat16; ten steps with the wrong second derivative get less near.
      EXPECT_NEAR(distribution_statistics(logits, 1 / t).entropy, target, 0.03) << right_hessian;
    }
}

// d^2 H / dT^2 = -(mu_3 + 3 mu_2) / T^2 with the central moments of ln q, q = softmax(l / T): the
// published 2 mu_3 is wrong.
TEST(TuneTemperature, SecondDerivativeHasTheThirdMomentOnce) {
  const std::vector<float> logits = test::random_logits(50, 2);
  constexpr double kT = 1.3, kStep = 1e-3;
  const auto entropy = [&](double t) { return distribution_statistics(logits, 1 / t).entropy; };
  const double numeric =
      (entropy(kT + kStep) - 2 * entropy(kT) + entropy(kT - kStep)) / (kStep * kStep);
  const double log_z = distribution_statistics(logits, 1 / kT).log_sum_exp;
  double mu2 = 0, mu3 = 0;
  for (const float l : logits) {
    const double log_q = l / kT - log_z, d = log_q + entropy(kT);
    mu2 += std::exp(log_q) * d * d;
    mu3 += std::exp(log_q) * d * d * d;
  }
  EXPECT_NEAR(numeric, -(mu3 + 3 * mu2) / (kT * kT), 1e-4);
  EXPECT_GT(std::abs(numeric + (2 * mu3 + 3 * mu2) / (kT * kT)), 0.1);
}

}  // namespace
}  // namespace surprisal
