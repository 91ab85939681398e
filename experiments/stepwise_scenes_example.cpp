#include "experiments/stepwise_scenes.h"

namespace surprisal {
namespace {

using enum StepOperation;

const std::vector<Scene>& scenes() {
  static const std::vector<Scene> table = {
      {"toys",
       4,
       12,
       "{name} has {n} toy cars.",
       {"How many toy cars does {name} have now?"},
       {{"find", kAdd, 2, 6, 0, 0, "{He} finds {n} more toy cars."},
        {"give", kSubtract, 2, 5, 0, 0, "{He} gives {n} toy cars to {friend}."},
        {"shop", kAdd, 2, 7, 0, 0, "{He} gets {n} more toy cars at a shop."},
        {"break", kSubtract, 2, 4, 0, 0, "{He} breaks {n} toy cars."},
        {"bring", kMultiply, 2, 3, 0, 0, "Then {he} has {n} times as many toy cars."},
        {"win", kAdd, 2, 5, 0, 0, "{He} wins {n} more toy cars."}}},
      {"gum",
       3,
       8,
       "{name} buys {n} packs of gum.",
       {"How many packs of gum does {name} have now?",
        "How many sticks of gum does {name} have now?"},
       {{"sticks", kMultiply, 2, 5, 0, 1, "There are {n} sticks in each pack."},
        {"eat", kSubtract, 2, 5, 1, 1, "{He} eats {n} sticks."},
        {"share", kSubtract, 2, 4, 1, 1, "{He} gives {n} sticks to {friend}."},
        {"more", kAdd, 2, 6, 1, 1, "{friend} gives {him} {n} more sticks."},
        {"pocket", kAdd, 2, 5, 1, 1, "{He} finds {n} more sticks."},
        {"drop", kSubtract, 2, 3, 1, 1, "{He} drops {n} sticks."}}},
      {"ducks",
       6,
       14,
       "There are {n} ducks on a pond.",
       {"How many ducks are on the pond now?"},
       {{"come", kAdd, 2, 6, 0, 0, "Then {n} more ducks come."},
        {"fly", kSubtract, 2, 6, 0, 0, "Then {n} ducks fly away."},
        {"swim", kAdd, 2, 5, 0, 0, "Later {n} more ducks swim in."},
        {"hide", kSubtract, 2, 4, 0, 0, "A fox scares off {n} ducks."},
        {"spring", kMultiply, 2, 3, 0, 0, "In spring there are {n} times as many ducks."},
        {"late", kAdd, 2, 6, 0, 0, "In fall {n} more ducks land."}}},
  };
  return table;
}

}  // namespace

std::span<const Scene> stepwise_example_scenes() {
  return scenes();
}

}  // namespace surprisal
