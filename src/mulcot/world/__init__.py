"""The synthetic world: drawn scenes, written posts and questions, and the truth about them. See docs/world.md.

vocabulary           every scene, phrase and rule of the posts, as data          science_vocabulary
scene, canvas, props, painters, picture     what can be drawn, and drawing it    boards, board_painters
truth                the rules                                                   question_kinds
post_text            writing posts, and parsing them back
scene_reading        recognising a scene in a picture                            boards
posts, ceilings      drawing posts, and what one side alone can reach            science
chains               captions, right and wrong chains                            science_chains
claims, checking     which statements of a chain are true                        science_checking
recognition          from a sent text and picture back to the truth              science
"""
