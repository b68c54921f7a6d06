#pragma once

namespace perennial::stats {

// The probability functions that the tests need, over Boost.Math, which stays inside
// distributions.cc. Arguments outside a function's domain give NaN, never an exception.

double NormalCdf(double z);
double NormalUpperTail(double z);           // P(Z > z), precise far out
double NormalQuantile(double probability);  // in (0, 1)
double NormalTwoSidedTail(double z);        // P(|Z| > |z|)

// P(X2 > x). 1 for no degrees of freedom, where X2 is always 0; 0 for x = +Inf.
double ChiSquaredUpperTail(double x, double degrees);
double ChiSquaredQuantile(double probability, double degrees);
// The 95 % point, from a table for few degrees of freedom: it is needed for every feature at every
// look.
double ChiSquared95(int degrees);

// Non-central chi-squared, non-centrality `lambda` >= 0: P(X2 > x). Beyond lambda = 1e6 by the
// normal law that sqrt(X2) then follows to about 1/lambda.
double NonCentralChiSquaredUpperTail(double x, double degrees, double lambda);

// P(X2 < x), for the other side of an equivalence test.
double NonCentralChiSquaredLowerTail(double x, double degrees, double lambda);

double StudentTwoSidedTail(double t, double degrees);  // P(|T| > |t|)

double BetaDensity(double x, double alpha, double beta);
double BetaCdf(double x, double alpha, double beta);

// Lower limit of the one-sided Clopper-Pearson interval of a proportion: the true rate is below it
// with probability at most `alpha`, whatever the rate. 0 <= successes <= trials.
double ClopperPearsonLower(double successes, double trials, double alpha);

double LogGamma(double x);

}  // namespace perennial::stats
