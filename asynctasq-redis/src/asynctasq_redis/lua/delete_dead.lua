-- Delete dead messages. ARGV: ids. Answers with '1' or '0' for each.

local answers = {}
for i, id in ipairs(ARGV) do
    local h = head(id)
    answers[i] = '0'
    if h and h.state == DEAD then
        leave_dead(id, h)
        delete(id, h)
        forget_if_empty(h.queue)
        answers[i] = '1'
    end
end
return table.concat(answers)
