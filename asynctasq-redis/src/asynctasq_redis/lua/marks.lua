-- Return the marks of messages. ARGV: clock offset, ids. Returns for each N (none), F (flagged), E (ended),
-- M (moved) or R (running).

local now = clock(tonumber(ARGV[1]))
local answers = {}
for i = 2, #ARGV do
    local known, state = is_known(ARGV[i], now)
    local facts = facts_of(ARGV[i], now)
    local mark = 'N'
    if known and state ~= DEAD and state ~= COMPLETED and state ~= CANCELLED then
        mark = 'M'
    elseif known or facts[ENDED] then
        mark = 'E'
    elseif facts[MOVED] then
        mark = 'M'
    elseif facts[FLAGGED] then
        mark = 'F'
    elseif facts[RUNNING] then
        mark = 'R'
    end
    answers[i - 1] = mark
end
return table.concat(answers)
