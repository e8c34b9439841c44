//! The sandbox from outside: a hostile skill against every budget, every ending of a call, and loading.

mod budgets;
mod endings;
mod files;
mod loading;
mod stage;
