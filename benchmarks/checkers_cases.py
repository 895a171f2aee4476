"""What benchmarks/checkers.py has judged: 100 mistakes and 100 right but difficult gradients.

A case is a line of one of the tables below: what it is, the function, the gradient claimed for it
(an expression per argument, with `;` between them), and the point. An indented line continues the
one above. The expressions are Python in `x`, `y` and `z`, with the names of `FLOATS`. `deviation`
holds them to what they are said to be: it evaluates the function with mpmath, same names.

The mistakes are those that people make: a factor, a sign, a term, an operand, a branch, a constant
with too few digits. The difficult ones are right, at points where differences of the function lie:
kinks, edges, tails, scales far from 1, and functions with noise of their own.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MISTAKES = """
one of the two contributions | x*x | x | 3.0
the sign of cos' | cos(x) | sin(x) | 0.8
tan' not squared | tan(x) | 1/cos(x) | 0.6
degrees, chain factor forgotten | sin(x*pi/180) | cos(x*pi/180) | 40.0
log for log10 | log10(x) | 1/x | 3.0
2ˣ without log 2 | 2.0**x | 2.0**x | 1.5
the power rule for an exponential | 3.0**x | x*3.0**(x - 1) | 2.0
sigmoid without 1 - s | sigmoid(x) | sigmoid(x) | 0.3
sigmoid' of the input, not of the output | sigmoid(x) | x*(1 - x) | 0.3
tanh not squared | tanh(x) | 1 - tanh(x) | 0.5
atan's square forgotten | atan(x) | 1/(1 + x) | 0.7
acosh' for asinh | asinh(x) | 1/sqrt(x*x - 1) | 2.0
cosh taken for cos | cosh(x) | -sinh(x) | 1.2
erf with π for √π | erf(x) | 2/pi*exp(-x*x) | 0.7
gelu, the 3 of the cube forgotten | gelu_tanh(x) | gelu_tanh_slope(x, 0.044715) | 1.0
gelu's derivative for its approximation | gelu_tanh(x) | normal_cdf(x) + x*normal(x) | 1.2
gelu with 0.04471 | gelu_tanh(x) | gelu_tanh_slope(x, 3*0.04471) | 1.0
silu, the gate taken for a constant | x*sigmoid(x) | sigmoid(x) | 1.5
softplus mirrored | softplus(x) | sigmoid(-x) | 0.9
mish, the inner derivative forgotten | x*tanh(softplus(x)) |
    tanh(softplus(x)) + x*(1 - tanh(softplus(x))**2) | 0.5
leaky relu, branches swapped | x if x > 0 else 0.01*x | 0.01 if x > 0 else 1.0 | -2.0
relu that lets all pass | max(x, 0.0) | 1.0 | -1.0
huber, the linear branch forgotten | x*x/2 if abs(x) < 1 else abs(x) - 0.5 | x | 3.0
hard sigmoid with another's slope | min(max(x/6 + 0.5, 0.0), 1.0) | 0.2 | 1.0
hinge at its kink, sign forgotten | max(1 - x, 0.0) | 1.0 if x <= 1 else 0.0 | 1.0
x times abs(x), its sign forgotten | x*abs(x) | 2*x | -1.5
chain factor 2x forgotten | log(1 + x*x) | 1/(1 + x*x) | 2.0
xˣ by the power rule alone | x**x | x*x**(x - 1) | 2.0
a series off by one | sum(x**k/k for k in range(1, 21)) |
    sum(x**k for k in range(1, 21)) | 0.5
logit with one of two terms | log(x/(1 - x)) | 1/x | 0.3
digamma taken for log | lgamma(x) | log(x) | 5.0
implicit function, a term forgotten | cubic(x) | 1/(3*cubic(x)**2) | 2.0
1/√2π to three digits | normal_cdf(x) | 0.399*exp(-x*x/2) | 0.5
π to five digits | sin(pi*x) | 3.1416*cos(pi*x) | 0.2
log₁₀ e to four digits | log10(x) | 0.4343/x | 7.0
180/π to five digits | atan(x)*180/pi | 57.296/(1 + x*x) | 0.5
regulariser forgotten | (x - 1)**2 + 1e-4*x*x | 2*(x - 1) | 3.0
ε forgotten | log(x + 1e-6) | 1/x | 0.05
a one-sided difference | exp(x) | (exp(x + 1e-5) - exp(x))/1e-5 | 0.7
a series cut off | sin(x) | 1 - x**2/2 + x**4/24 | 0.3
a ripple forgotten | sin(x) + 1e-4*sin(50*x) | cos(x) | 0.1
"saturated" | tanh(x) | 0.0 | 8.0
"linear from here on" | softplus(x) | 1.0 if x > 5 else sigmoid(x) | 6.0
sinc at 0 | sin(x)/x if x else 1.0 | cos(x)/x - sin(x)/x**2 if x else 1.0 | 0.0
(eˣ - 1)/x at 0 | expm1(x)/x if x else 1.0 | (exp(x)*(x - 1) + 1)/x**2 if x else 1.0 | 0.0
Planck's constant to four digits | 6.62607015e-34*x | 6.626e-34 | 5e14
one of the two contributions, tiny | x*x | x | 3e-150
one of the two contributions, huge | x*x | x | 3e150
sign of a reciprocal, tiny operand | 1/x | 1/x**2 | 4e-140
√ without its half, tiny operand | sqrt(x) | 1/sqrt(x) | 2e-100
sin for cos, tiny amplitude | 1e-30*sin(x) | 1e-30*sin(x) | 1.0
chain factor forgotten, huge amplitude | 1e12*tanh(x/1e3) | 1e12*(1 - tanh(x/1e3)**2) | 700.0
squared probability without its 2 | sigmoid(x)**2 | sigmoid(x)**2*(1 - sigmoid(x)) | -40.0
erfc's 2 forgotten, in the tail | erfc(x) | -exp(-x*x)/sqrt(pi) | 6.0
operands swapped | x*y | x; y | 2.0; 5.0
quotient, second sign | x/y | 1/y; x/y**2 | 3.0; 2.0
difference, second sign | x - y | 1.0; 1.0 | 4.0; 1.5
atan2 without its minus | atan2(x, y) | y/(x*x + y*y); x/(x*x + y*y) | 1.0; 2.0
hypot divided by its square | hypot(x, y) | x/(x*x + y*y); y/(x*x + y*y) | 3.0; 4.0
power without log | x**y | y*x**(y - 1); x**y | 2.5; 1.5
power with log10 | x**y | y*x**(y - 1); x**y*log10(x) | 3.0; 2.0
maximum sends to the smaller | max(x, y) |
    1.0 if x < y else 0.0; 0.0 if x < y else 1.0 | 3.0; 1.0
tie, both get all | max(x, y) | 1.0 if x >= y else 0.0; 1.0 if y >= x else 0.0 | 2.0; 2.0
tie, neither gets any | min(x, y) | 1.0 if x < y else 0.0; 1.0 if y < x else 0.0 | 2.0; 2.0
logaddexp, weights swapped | logaddexp(x, y) | sigmoid(y - x); sigmoid(x - y) | 1.0; 3.0
factor used twice, counted once | x*x*y | x*y; x*x | 3.0; 2.0
cross entropy without its -1 | logaddexp(x, y) - x | sigmoid(x - y); sigmoid(y - x) | 0.5; 2.0
denominator taken for a constant | x/(x + y) | 1/(x + y); -x/(x + y)**2 | 1.0; 2.0
parallel resistors swapped | x*y/(x + y) | (x/(x + y))**2; (y/(x + y))**2 | 2.0; 3.0
divergence without its 1 | x*log(x/y) | log(x/y); -x/y | 0.3; 0.5
likelihood, a term in σ forgotten | log(y) + (x/y)**2/2 | x/y**2; 1/y | 1.2; 0.7
Rosenbrock, a 2 forgotten | (1 - x)**2 + 100*(y - x*x)**2 |
    -2*(1 - x) - 200*x*(y - x*x); 200*(y - x*x) | -1.2; 1.0
log-beta without the sum's part | lgamma(x) + lgamma(y) - lgamma(x + y) |
    digamma(x); digamma(y) | 2.5; 1.5
remainder, the divisor forgotten | x - y*floor(x/y) | 1.0; 0.0 | 7.3; 2.0
prelu, the slope's own gradient | x if x > 0 else y*x | 1.0 if x > 0 else y; 0.0 | -2.0; 0.25
gravity with r³ but not 2 | 3.986004418e14*x/y**2 |
    3.986004418e14/y**2; -3.986004418e14*x/y**3 | 80.0; 6.371e6
Boltzmann's constant to three digits | x*exp(-y/(1.380649e-23*300)) |
    exp(-y/(1.380649e-23*300)); -x*exp(-y/(1.380649e-23*300))/(1.38e-23*300) | 2.0; 4e-21
operands swapped, tiny | x*y | x; y | 3e-120; 2e-30
quotient, second not squared, huge | x/y | 1/y; -x/y | 5e100; 2e120
weak coupling forgotten | x*x + 1e-5*x*y | 2*x + 1e-5*y; 0.0 | 0.5; 2.0
operands swapped below a large offset | 1e8 + x*y | x; y | 2.0; 5.0
relative change, the base forgotten | (x - y)/y | 1/y; -1/y | 3.0; 2.5
regulariser forgotten in one weight | (x*y - 1)**2 + 1e-3*(x*x + y*y) |
    2*y*(x*y - 1) + 2e-3*x; 2*x*(x*y - 1) | 1.5; 0.5
a product with a factor missing | x*y*z | y*z; x*z; x | 2.0; 3.0; 4.0
the bias gets nothing | x*y + z | y; x; 0.0 | 2.0; 3.0; 4.0
clip, all to the clipped | min(max(x, y), z) | 1.0; 0.0; 0.0 | 5.0; 0.0; 1.0
where, branches swapped | y if x > 0 else z |
    0.0; 0.0 if x > 0 else 1.0; 1.0 if x > 0 else 0.0 | 1.0; 2.0; 3.0
neuron, the bias without tanh' | tanh(x*y + z) |
    y*(1 - tanh(x*y + z)**2); x*(1 - tanh(x*y + z)**2); 1.0 | 0.5; 0.8; 0.1
interpolation, the start's share | x + z*(y - x) | 1.0; z; y - x | 2.0; 5.0; 0.3
ideal gas, third sign | 8.314462618*x*y/z |
    8.314462618*y/z; 8.314462618*x/z; 8.314462618*x*y/z**2 | 1.0; 300.0; 0.024
compound interest with log10 | x*(1 + y)**z |
    (1 + y)**z; x*z*(1 + y)**(z - 1); x*(1 + y)**z*log10(1 + y) | 1000.0; 0.03; 10.0
tie for the first of three, both get all | max(x, y, z) |
    1.0 if x == max(x, y, z) else 0.0; 1.0 if y == max(x, y, z) else 0.0;
    1.0 if z == max(x, y, z) else 0.0 | 2.0; 2.0; 1.0
momentum without the learning rate | x - 1e-3*(0.9*y + z) | 1.0; -0.9; -1e-3 | 0.5; 0.2; 0.1
law of cosines, third sign | x*x + y*y - 2*x*y*cos(z) |
    2*x - 2*y*cos(z); 2*y - 2*x*cos(z); -2*x*y*sin(z) | 3.0; 4.0; 1.1
regulariser without its 2 | tanh(x*y) + 1e-6*z*z |
    y*(1 - tanh(x*y)**2); x*(1 - tanh(x*y)**2); 1e-6*z | 0.5; 0.8; 3.0
gate, second sign | sigmoid(z)*x + (1 - sigmoid(z))*y |
    sigmoid(z); 1 - sigmoid(z); sigmoid(z)*(1 - sigmoid(z))*(x + y) | 1.0; 3.0; 0.4
scaled step, √ taken for its square | x*y/(sqrt(z) + 1e-8) |
    y/(sqrt(z) + 1e-8); x/(sqrt(z) + 1e-8); -x*y/(2*sqrt(z)*(sqrt(z) + 1e-8)) |
    1e-3; 0.02; 4e-6
standardised, mean taken for a constant | standardised(x, y, z) |
    1/sqrt(variance(x, y, z) + 1e-5); 0.0; 0.0 | 1.0; 2.0; 4.0
vega without √t | call(x, y, z) |
    normal_cdf(d1(x, y, z)); x*normal(d1(x, y, z)); x*normal(d1(x, y, z))*y/(2*sqrt(z)) |
    110.0; 0.2; 0.25
density, a term in σ forgotten | normal((x - y)/z)/z |
    -(x - y)/z**3*normal((x - y)/z); (x - y)/z**3*normal((x - y)/z);
    (x - y)**2/z**4*normal((x - y)/z) | 1.0; 0.4; 0.7
"""

DIFFICULT = """
relu at its kink, 0 | max(x, 0.0) | 0.0 | 0.0
relu at its kink, a half | max(x, 0.0) | 0.5 | 0.0
relu at its kink, 1 | max(x, 0.0) | 1.0 | 0.0
relu just above its kink | max(x, 0.0) | 1.0 | 1e-9
relu just below its kink | max(x, 0.0) | 0.0 | -1e-7
abs at 0 | abs(x) | 0.0 | 0.0
abs just below 0 | abs(x) | -1.0 | -3e-7
clip at its end | min(max(x, -1.0), 1.0) | 1.0 | 1.0
kinks that cancel | max(x, 0.0) - max(-x, 0.0) | 1.0 | 0.0
huber where it bends | x*x/2 if abs(x) < 1 else abs(x) - 0.5 | 1.0 | 1.0
flat, but steep beside | x*sqrt(abs(x)) | 1.5*sqrt(abs(x)) | 0.0
ever faster towards 0 | x*x*sin(1/x) if x else 0.0 |
    2*x*sin(1/x) - cos(1/x) if x else 0.0 | 0.0
a kink 1e-6 away | abs(x - 1e-6) | -1.0 if x < 1e-6 else 1.0 | 0.0
a steep slope 1e-6 away | x if x < 1.000001 else 1000*(x - 1.000001) + 1.000001 |
    1.0 if x < 1.000001 else 1000.0 | 1.0
a jump 1e-6 away | floor(x) | 0.0 | 0.999999
just after a sawtooth's jump | x - floor(x) | 1.0 | 2.0000005
flat to the seventh order | x**7 | 7*x**6 | 0.0
flat to every order | exp(-1/x**2) if x else 0.0 | 2/x**3*exp(-1/x**2) if x else 0.0 | 0.0
even, at 0 | cosh(x) | sinh(x) | 0.0
at the edge of a power | pow(x, 1.5) | 1.5*sqrt(x) | 0.0
at the edge of asin | (1 - x)*asin(x) | sqrt((1 - x)/(1 + x)) - asin(x) | 1.0
at the edge of log | x*x*log(x) if x else 0.0 | 2*x*log(x) + x if x else 0.0 | 0.0
entropy near 0 | x*log(x) | log(x) + 1 | 1e-12
√ near 0 | sqrt(x) | 0.5/sqrt(x) | 1e-12
near a pole | 1/(x - 1) | -1/(x - 1)**2 | 1.00001
tan near π/2 | tan(x) | 1 + tan(x)**2 | 1.5707
atanh near 1 | atanh(x) | 1/((1 - x)*(1 + x)) | 0.999999999
sigmoid, saturated | sigmoid(x) | sigmoid(x)*sigmoid(-x) | 40.0
sigmoid, the other tail | sigmoid(x) | sigmoid(x)*sigmoid(-x) | -40.0
erf's tail | erf(x) | 2/sqrt(pi)*exp(-x*x) | 5.0
erfc's tail | erfc(x) | -2/sqrt(pi)*exp(-x*x) | 20.0
gelu's tail | x*normal_cdf(x) | normal_cdf(x) + x*normal(x) | -6.0
softplus' tail | softplus(x) | sigmoid(x) | -100.0
a tiny exponential | exp(-x) | -exp(-x) | 700.0
a huge square | x*x | 2*x | 1e150
a tiny square | x*x | 2*x | 1e-150
log of a huge number | log(x) | 1/x | 1e300
under a large offset | 1e12 + x | 1.0 | 1.0
constant | 5.0 | 0.0 | 2.0
linear | 3*x + 2 | 3.0 | 0.0
high frequency | sin(1e4*x) | 1e4*cos(1e4*x) | 1.0
a chirp | sin(1/x) | -cos(1/x)/x**2 | 0.01
steep | exp(1000*(x - 1)) | 1000*exp(1000*(x - 1)) | 1.0
a step 1e-5 wide | tanh(1e5*x) | 1e5/cosh(1e5*x)**2 | 0.0
a peak 1e-6 wide | 1/(1 + (1e6*(x - 1))**2) |
    -2e12*(x - 1)/(1 + (1e6*(x - 1))**2)**2 | 1.0000005
a kink rounded off | sqrt(x*x + 1e-12) | x/sqrt(x*x + 1e-12) | 1e-7
cancellation over x² | (1 - cos(x))/x**2 | -x/12 + x**3/180 | 1e-4
cancellation of large numbers | sqrt(x*x + 1) - x |
    -1/(sqrt(x*x + 1)*(x + sqrt(x*x + 1))) | 1e6
an expanded power |
    x**7 - 7*x**6 + 21*x**5 - 35*x**4 + 35*x**3 - 21*x**2 + 7*x - 1 | 7*(x - 1)**6 | 1.01
single precision inside | float32(sin(x)) | cos(x) | 1.0
ten decimals | decimals(sin(x)) | cos(x) | 1.0
bisection to 1e-10 | bisect(lambda y: y**3 - x, 0*x, 1 + x) | cbrt(x)/(3*x) | 2.0
iteration to 1e-10 | fixed_point(x) |
    cos(fixed_point(x))/(1 + x*sin(fixed_point(x))) | 0.8
a thousand terms | sum(sin(k*x)/k**2 for k in range(1, 1001)) |
    sum(cos(k*x)/k for k in range(1, 1001)) | 1.0
tie, all to the first | max(x, y) | 1.0 if x >= y else 0.0; 1.0 if x < y else 0.0 | 2.0; 2.0
tie, a half each | max(x, y) | 0.5; 0.5 | 2.0; 2.0
tie, all to the second | min(x, y) | 1.0 if x < y else 0.0; 0.0 if x < y else 1.0 | 2.0; 2.0
almost a tie | max(x, y) | 1.0 if x > y else 0.0; 0.0 if x > y else 1.0 | 1.0; 1.000000001
hypot at the origin | hypot(x, y) | 0.0; 0.0 | 0.0; 0.0
hypot of tiny numbers | hypot(x, y) | x/hypot(x, y); y/hypot(x, y) | 3e-200; 4e-200
hypot of huge numbers | hypot(x, y) | x/hypot(x, y); y/hypot(x, y) | 3e200; 4e200
distance 0 | abs(x - y) | 0.0; 0.0 | 2.0; 2.0
relu of a product at 0 | max(x*y, 0.0) | 0.0; 0.0 | 0.0; 2.0
kinks that cancel at a tie | max(x, y) + min(x, y) | 1.0; 1.0 | 1.0; 1.0
atan2 beside its cut | atan2(x, y) | y/(x*x + y*y); -x/(x*x + y*y) | 1e-6; -1.0
power of 0 | pow(x, y) | y*pow(x, y - 1); pow(x, y)*log(x) if x else 0.0 | 0.0; 2.0
a huge power | pow(x, y) | y*pow(x, y - 1); pow(x, y)*log(x) | 2.0; 1000.0
power at the edge of the domain | pow(x - y, 1.5) |
    1.5*sqrt(x - y); -1.5*sqrt(x - y) | 1.0; 1.0
log near the edge | log(x - y) | 1/(x - y); -1/(x - y) | 1.0; 0.999999999
logaddexp, far apart | logaddexp(x, y) | sigmoid(x - y); sigmoid(y - x) | 800.0; 0.0
logaddexp, equal | logaddexp(x, y) | sigmoid(x - y); sigmoid(y - x) | 3.0; 3.0
difference from a huge number | x - y | 1.0; -1.0 | 1e16; 1.0
there and back | (x + y) - x | 0.0; 1.0 | 1e8; 0.1
product of tiny numbers | x*y | y; x | 1e-150; 2e-150
quotient of tiny numbers | x/y | 1/y; -x/y/y | 3e-100; 1e-150
high frequency in a product | sin(1000*x*y) |
    1000*y*cos(1000*x*y); 1000*x*cos(1000*x*y) | 1.3; 0.7
exponential of a product | exp(x*y) | y*exp(x*y); x*exp(x*y) | 30.0; 20.0
ratio of gammas | lgamma(x + y) - lgamma(x) |
    digamma(x + y) - digamma(x); digamma(x + y) | 1e4; 1.0
parts of unlike scale | 1e8*x + 1e-8*y | 1e8; 1e-8 | 1.0; 1.0
flat in both | x**4*y**4 | 4*x**3*y**4; 4*x**4*y**3 | 0.0; 0.0
one argument without effect | x*x + 0*y | 2*x; 0.0 | 3.0; 5.0
density far out | normal(x/y)/y |
    -x/y**3*normal(x/y); ((x/y)**2 - 1)/y**2*normal(x/y) | 30.0; 1.0
Kepler's equation, iterated to 1e-10 | kepler(x, y) |
    1/(1 - y*cos(kepler(x, y))); sin(kepler(x, y))/(1 - y*cos(kepler(x, y))) | 1.0; 0.3
ties of three | max(x, y, z) | 1.0; 0.0; 0.0 | 2.0; 2.0; 2.0
clip at its lower end | min(max(x, y), z) | 0.5; 0.5; 0.0 | 0.0; 0.0; 1.0
where, beside its jump | y if x > 0 else z |
    0.0; 1.0 if x > 0 else 0.0; 0.0 if x > 0 else 1.0 | 1e-9; 2.0; 3.0
logsumexp, far apart | logaddexp(logaddexp(x, y), z) | 1.0; 0.0; 0.0 | 1000.0; 0.0; -1000.0
three tiny factors | x*y*z | y*z; x*z; x*y | 1e-100; 2e100; 3e-100
a fused product that cancels | x*y + z | y; x; 1.0 | 1e8; 1e8; -1e16
a root that cancels | (-y + sqrt(y*y - 4*x*z))/(2*x) |
    -root(x, y, z)**2/(2*x*root(x, y, z) + y); -root(x, y, z)/(2*x*root(x, y, z) + y);
    -1/(2*x*root(x, y, z) + y) | 1.0; 1e4; 1.0
standardised, all equal | standardised(x, y, z) |
    2/3/sqrt(1e-5); -1/3/sqrt(1e-5); -1/3/sqrt(1e-5) | 1.0; 1.0; 1.0
an option far out of the money | call(x, y, z) |
    normal_cdf(d1(x, y, z)); x*normal(d1(x, y, z))*sqrt(z);
    x*normal(d1(x, y, z))*y/(2*sqrt(z)) | 60.0; 0.2; 0.25
length of a tiny vector | hypot(hypot(x, y), z) |
    x/hypot(hypot(x, y), z); y/hypot(hypot(x, y), z); z/hypot(hypot(x, y), z) |
    2e-150; 3e-150; 6e-150
tiny interest, often | x*(1 + y)**z |
    (1 + y)**z; x*z*(1 + y)**(z - 1); x*(1 + y)**z*log1p(y) | 1000.0; 1e-9; 1e6
neuron at relu's kink | max(x*y + z, 0.0) | 0.0; 0.0; 0.0 | 2.0; 3.0; -6.0
sum of sizes at 0 | abs(x) + abs(y) + abs(z) | 0.0; 0.0; 0.0 | 0.0; 0.0; 0.0
largest size at 0 | max(abs(x), abs(y), abs(z)) | 0.0; 0.0; 0.0 | 0.0; 0.0; 0.0
a saturated neuron | tanh(x*y + z) |
    y/cosh(x*y + z)**2; x/cosh(x*y + z)**2; 1/cosh(x*y + z)**2 | 3.0; 5.0; 4.0
a thin triangle | sqrt(x*x + y*y - 2*x*y*cos(z)) |
    (x - y + 2*y*sin(z/2)**2)/side(x, y, z); (y - x + 2*x*sin(z/2)**2)/side(x, y, z);
    x*y*sin(z)/side(x, y, z) | 1.0; 1.0; 1e-5
variance in one pass | (x*x + y*y + z*z)/3 - ((x + y + z)/3)**2 |
    2/9*(2*x - y - z); 2/9*(2*y - x - z); 2/9*(2*z - x - y) | 10001.0; 10002.0; 10004.0
"""

# Functions that the tables use and `math` doesn't have, made of those that it has.
HELPERS = {
    "sigmoid": "lambda x: 1/(1 + exp(-x)) if x >= 0 else exp(x)/(1 + exp(x))",
    "softplus": "lambda x: max(x, 0.0) + log1p(exp(-abs(x)))",
    "logaddexp": "lambda x, y: max(x, y) + log1p(exp(-abs(x - y)))",
    "normal": "lambda x: exp(-x*x/2)/sqrt(2*pi)",
    "normal_cdf": "lambda x: erfc(-x/sqrt(2.0))/2",
    "gelu_tanh": "lambda x: x/2*(1 + tanh(0.7978845608028654*(x + 0.044715*x**3)))",
    "gelu_tanh_slope": (
        "lambda x, c: gelu_tanh(x)/x + x/2*0.7978845608028654*(1 + c*x*x)"
        "*(1 - tanh(0.7978845608028654*(x + 0.044715*x**3))**2)"
    ),
    "variance": "lambda x, y, z: ((x - y)**2 + (y - z)**2 + (z - x)**2)/9",
    "standardised": "lambda x, y, z: (x - (x + y + z)/3)/sqrt(variance(x, y, z) + 1e-5)",
    # Black and Scholes' price of a call at 100 without interest: price x, volatility y, time z.
    "d1": "lambda x, y, z: (log(x/100) + y*y*z/2)/(y*sqrt(z))",
    "call": "lambda x, y, z: x*normal_cdf(d1(x, y, z)) - 100*normal_cdf(d1(x, y, z) - y*sqrt(z))",
    # The smaller root of x·r² + y·r + z, without cancellation.
    "root": "lambda x, y, z: 2*z/(-y - sqrt(y*y - 4*x*z))",
    # The law of cosines, likewise.
    "side": "lambda x, y, z: sqrt((x - y)**2 + 4*x*y*sin(z/2)**2)",
    "cubic": "lambda x: iterate(lambda r: r - (r**3 + r - x)/(3*r*r + 1), x)",
    "fixed_point": "lambda x: iterate(lambda r: x*cos(r), x)",
    "kepler": "lambda x, y: iterate(lambda r: x + y*sin(r), x)",
}


class Case(NamedTuple):
    """A function of one to three floats, the gradient claimed for it, and the point."""

    name: str
    function: str
    gradient: tuple[str, ...]
    point: tuple[float, ...]


def read(table: str) -> list[Case]:
    """Return the cases of a table."""
    lines = table.strip().replace("\n    ", " ").splitlines()
    return [_case(*line.split(" | ")) for line in lines]


def _case(name: str, function: str, gradient: str, point: str) -> Case:
    parts = tuple(part.strip() for part in gradient.split(";"))
    return Case(name, function, parts, tuple(map(float, point.split(";"))))


def functions(case: Case, names: Mapping[str, Any]) -> list[Callable[..., Any]]:
    """Return the case's function and the claimed derivative in each of its arguments."""
    arguments = ", ".join("xyz"[: len(case.point)])
    texts = (case.function, *case.gradient)
    return [_evaluate(f"lambda {arguments}: {text}", names) for text in texts]


def _evaluate(text: str, names: Mapping[str, Any]) -> Any:
    return eval(text, dict(names))  # noqa: S307  (the texts are those of this file)


def with_helpers(names: dict[str, Any]) -> dict[str, Any]:
    """Return the names and the `HELPERS`, which are made of them and see one another."""
    for name, text in HELPERS.items():
        names[name] = eval(text, names)  # noqa: S307  (as above)
    return names


# --- on floats ------------------------------------------------------------------------------------


def iterate(step: Callable[[Any], Any], start: Any, tolerance: Any = 1e-10) -> Any:
    """Return the first of step(start), step(step(start)), … within `tolerance` of the one before.

    Raises:
        ValueError: if none of the first thousand is.

    """
    before = start
    for _ in range(1000):
        now = step(before)
        if abs(now - before) <= tolerance:
            return now
        before = now
    message = f"no convergence from {start}"
    raise ValueError(message)


def bisect(f: Callable[[Any], Any], low: Any, high: Any, tolerance: Any = 1e-10) -> Any:
    """Return the root of a rising f between `low` and `high`, to within `tolerance`."""
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


def float32(x: float) -> float:
    """Return the nearest number of single precision."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def digamma(x: float) -> float:
    """Return lgamma'(x) for x > 0: the recurrence, then the asymptotic series (DLMF 5.11.2)."""
    shift = 0.0
    while x < 15.0:  # noqa: PLR2004  (from there on five terms give all digits)
        shift -= 1.0 / x
        x += 1.0
    w = 1.0 / (x * x)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w / 132))))
    return shift + math.log(x) - 0.5 / x - series


FLOATS = with_helpers(
    {
        **{name: function for name, function in vars(math).items() if name[0] != "_"},
        "bisect": bisect,
        "decimals": partial(round, ndigits=10),
        "digamma": digamma,
        "float32": float32,
        "floor": lambda x: float(math.floor(x)),
        "iterate": iterate,
    }
)


# --- with mpmath ----------------------------------------------------------------------------------

# With a step this small, in this many digits, a quotient of differences is the derivative to many
# more digits than a float has: nothing in the tables happens on a smaller scale.
DIGITS = 250
STEP = 1e-100
FLAT = 1e-40  # a quotient below it is a slope of 0
ROUNDED = 1e-9  # a right gradient is computed in floats, and may be this far off, relatively


def exact_names(mp: Any) -> dict[str, Any]:
    """Return the names on mpmath's numbers, where nothing is rounded and iterations go on."""
    same = "acosh asin asinh atan atan2 atanh cos cosh erf erfc exp expm1 floor gamma hypot log"
    same += " log10 log1p sin sinh sqrt tan tanh"
    tolerance = mp.mpf(10) ** (50 - DIGITS)
    return with_helpers(
        {
            **{name: getattr(mp, name) for name in same.split()},
            "bisect": partial(bisect, tolerance=tolerance),
            "decimals": lambda x: x,
            "float32": lambda x: x,
            "iterate": partial(iterate, tolerance=tolerance),
            "lgamma": mp.loggamma,
            "pi": math.pi,
            "pow": mp.power,
        }
    )


def deviation(case: Case, mp: Any, names: Mapping[str, Any]) -> float:
    """Return how far the claimed gradient is from the function's, in units of what is allowed.

    It is the largest over directions, those of the axes and of the diagonals. Where the function's
    slopes to the two sides differ, or only one of them exists, all that lies between those that
    exist is right: it is a subgradient.
    """
    point = [mp.mpf(x) for x in case.point]
    f = functions(case, names)[0]
    claimed = [g(*case.point) for g in functions(case, FLOATS)[1:]]
    largest = 0.0
    for signs in product((1, 0, -1), repeat=len(point)):
        if signs > (0,) * len(point):  # the others are these the other way round
            direction = [s * (abs(x) or 1) for s, x in zip(signs, point, strict=True)]
            parts = [c * d for c, d in zip(claimed, direction, strict=True)]
            sides = _slopes(f, point, direction, mp)
            off = max(min(sides) - sum(parts), sum(parts) - max(sides))
            largest = max(largest, float(off / (ROUNDED * max(map(abs, parts)) or FLAT)))
    return largest


def _slopes(f: Callable[..., Any], point: list[Any], direction: list[Any], mp: Any) -> list[Any]:
    here = f(*point)
    slopes = []
    for step in (mp.mpf(STEP), -mp.mpf(STEP)):
        there = f(*[x + step * d for x, d in zip(point, direction, strict=True)])
        if isinstance(there, mp.mpf | float):  # complex outside of the domain
            slopes.append((there - here) / step)
    return slopes
